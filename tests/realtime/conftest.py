"""What only the tests of live changes use; the fixture files define it."""

from tests.fixtures.live import line, live, owner, reader
from tests.realtime.tables_support import notes, token

__all__ = ["line", "live", "notes", "owner", "reader", "token"]
