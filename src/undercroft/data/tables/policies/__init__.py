"""Who may see and write which rows of a table."""
