"""Fixtures of the storage wing; they live in tests/fixtures."""

from tests.fixtures.storage import storage_database, store

__all__ = ["storage_database", "store"]
