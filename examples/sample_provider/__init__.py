"""The APIs that the sample provider speaks, one file each, and how it sends them (or fails to)."""
