"""Indexes of a table, made at once or while it is in use."""
