"""Files that are not UTF-8, decoded by the charset that their sender named."""

import codecs
from collections.abc import AsyncIterable, AsyncIterator
from encodings import normalize_encoding
from encodings.aliases import aliases

from undercroft.data.tables.errors import ImportRefused

# Not texts, not of this system, or a way of writing other texts.
NOT_CHARSETS = frozenset({"mbcs", "rot_13", "tactis", "utf_7"})
# Python finds these by their own names alone.
BY_NAME = frozenset({"cp1006", "cp737", "cp856", "cp874", "cp875", "koi8_t", "koi8_u", "utf_8_sig"})
CHARSETS = BY_NAME | {
    name for name in aliases.values() if not name.endswith("_codec") and name not in NOT_CHARSETS
}
AS_IT_IS = frozenset({"utf_8", "utf_8_sig", "ascii"})


def find_charset(label: str) -> str | None:
    """The codec by one of its names, None for what is no charset."""
    name = normalize_encoding(label).lower()
    name = aliases.get(name, name)
    return name if name in CHARSETS else None


def as_utf8(body: AsyncIterable[bytes], charset: str) -> AsyncIterable[bytes]:
    """The content in UTF-8, piece by piece as it comes."""
    return body if charset in AS_IT_IS else _decoded(body, charset)


async def _decoded(body: AsyncIterable[bytes], charset: str) -> AsyncIterator[bytes]:
    decoder = codecs.getincrementaldecoder(charset)()
    line = 1
    try:
        async for chunk in body:
            content = decoder.decode(chunk)
            line += content.count("\n")
            yield content.encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError as error:
        line += error.object[: error.start].decode(charset, "replace").count("\n")
        raise ImportRefused(line, f"This is not {charset}.") from error
