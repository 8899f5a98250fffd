"""What only the tests of live changes use."""

from tests.fixtures.live import owner, reader

__all__ = ["owner", "reader"]
