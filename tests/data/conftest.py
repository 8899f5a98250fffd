"""Fixtures of the data wing; they live in tests/fixtures."""

from tests.fixtures.rows import dry, make_rows, make_rows_app, rows, rows_database

__all__ = ["dry", "make_rows", "make_rows_app", "rows", "rows_database"]
