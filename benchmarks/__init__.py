"""Measures what docs/performance.md promises: `make bench-evidence`, `part=log` for one part."""
