"""Files that come compressed and are to be unpacked by whoever downloads them.

Bytes are kept and handed out as they came. What such a file is, is decided by what is inside: so
far as we can look there.
"""

import zlib

from undercroft.storage.errors import FileTypeRefused
from undercroft.storage.sniffing import HEAD_BYTES, UNKNOWN, believed_type, media_type_of

# How zlib is told what surrounds the compressed bytes.
WINDOWS = {"gzip": 31, "deflate": 15}
# Nobody looks into these: they are only downloaded, and no bucket that is choosy takes them.
OPAQUE = frozenset({"br", "zstd"})
KNOWN = frozenset({*WINDOWS, *OPAQUE})


def type_inside(head: bytes, declared: str | None, encoding: str | None) -> str:
    """The media type to keep for content that begins with `head`, compressed or not.

    Raises `FileTypeRefused` for what is not compressed as was said.
    """
    if encoding is None:
        return media_type_of(head, declared)
    if encoding in OPAQUE:
        return believed_type(declared)
    # A few kilobytes unpack to a few megabytes: no more of it is made than is looked at.
    unpacking = zlib.decompressobj(WINDOWS[encoding])
    try:
        return media_type_of(unpacking.decompress(head, HEAD_BYTES), declared)
    except zlib.error as error:
        raise FileTypeRefused(UNKNOWN) from error


def seen_type(media_type: str, encoding: str | None) -> str:
    """What a bucket that takes some types only is asked about."""
    return UNKNOWN if encoding in OPAQUE else media_type
