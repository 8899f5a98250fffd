"""Keys, checks and foreign keys of a table."""
