"""The export package: what is in it and how it is written; docs/export.md is its description."""
