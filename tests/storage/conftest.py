"""Only names what the fixture files define."""

from tests.fixtures.storage import storage_database, store
from tests.storage.media_support import limited, place

__all__ = ["limited", "place", "storage_database", "store"]
