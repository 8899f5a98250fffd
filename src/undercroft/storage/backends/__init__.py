"""Where bytes are: a small port, implemented for the local disk and for object stores.

Keys are ours and never change their content; nothing here knows buckets or callers.
"""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

# What one read or write moves at a time: large enough for few system calls, small enough for many
# callers at once.
CHUNK_BYTES = 256 * 1024
# Files up to this size are handled in one piece.
SMALL_BYTES = 64 * 1024


class BackendDown(Exception):  # noqa: N818 - what it is
    """The store did not do what it was asked; the cause says why."""


class BytesMissing(BackendDown):
    """There is nothing under this key, or less than was expected."""


class NoSpaceLeft(BackendDown):
    """The disk or the account is full."""


@dataclass(frozen=True, slots=True)
class Entry:
    key: str
    size_bytes: int
    modified_at: datetime


class Backend(Protocol):
    """All methods raise `BackendDown` or a subclass of it for what the store refuses."""

    async def write(self, key: str, content: AsyncIterator[bytes]) -> int:
        """Store all of `content` under `key` and return its size; all of it or nothing.

        When it returns, the bytes survive a power cut. Whatever `content` raises passes through,
        and leaves nothing behind.
        """
        ...

    async def write_small(self, key: str, content: bytes) -> None:
        """As `write`, for content of at most `SMALL_BYTES`."""
        ...

    def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`, in pieces."""
        ...

    async def read_small(self, key: str, size: int) -> bytes:
        """All of a file of at most `SMALL_BYTES`."""
        ...

    async def delete(self, keys: Iterable[str]) -> None:
        """Remove these; what is not there is no error."""
        ...

    def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        """Everything below the directory `prefix`, in no particular order."""
        ...

    async def tidy(self) -> int:
        """Remove what writers that died left half-written, and return how many that were."""
        ...

    async def check(self) -> None:
        """Return when the store can be written and read."""
        ...

    def close(self) -> None: ...
