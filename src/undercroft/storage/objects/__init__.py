"""Files: read, written, listed, moved, copied, removed, signed."""
