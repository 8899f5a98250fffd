"""What only the tests of live changes use."""

from tests.fixtures.live import line, live, owner, reader

__all__ = ["line", "live", "owner", "reader"]
