"""Pages: each view asks the layers below and renders."""
