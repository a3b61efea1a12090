"""One rival a file, and ourselves."""
