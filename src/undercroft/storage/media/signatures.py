"""Types whose files begin in one way only, and are nothing else when they do not.

Storage believes a sender's word among types that are only ever downloaded. An account's files are
handed from person to person, so here what calls itself a document has to look like one.
"""

from collections.abc import AsyncIterator

from undercroft.storage.blobs import Staged
from undercroft.storage.errors import FileTypeRefused
from undercroft.storage.sniffing import UNKNOWN, base_type

# PDF readers look for their mark in the first kilobyte.
HEAD_BYTES = 1024
PDF, COMPOUND, ZIP = b"%PDF-", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"PK\x03\x04"
COMPOUND_TYPES = frozenset(
    {"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint"}
)
ZIP_TYPES = ("application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.")


class Remembering:
    """A stream that keeps its beginning for a look afterwards."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.head = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            if len(self.head) < HEAD_BYTES:
                self.head = (self.head + chunk)[:HEAD_BYTES]
            yield chunk


def check_signature(staged: Staged, head: bytes) -> None:
    """Raises `FileTypeRefused`."""
    kind = base_type(staged.content_type)
    if kind == "application/pdf":
        right = PDF in head
    elif kind in COMPOUND_TYPES:
        right = head.startswith(COMPOUND)
    elif kind.startswith(ZIP_TYPES):
        right = head.startswith(ZIP)
    else:
        return
    if not right:
        raise FileTypeRefused(UNKNOWN)
