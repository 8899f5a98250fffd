"""What a file is, by its first bytes: what callers say about it is confirmed, not believed.

`puremagic` knows the signatures; its own search compares all of them one by one, which takes longer
than storing a small file. Text has none, so a text type is believed if the content is text and no
page in disguise.
"""

import codecs
import re
from collections.abc import Mapping

from puremagic import magic_header_array, multi_part_dict

# Enough for every signature and for markup behind a long comment.
HEAD_BYTES = 4096
UNKNOWN = "application/octet-stream"
TEXT = "text/plain"
MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
PARAMETERS = re.compile(r"\s*;\s*charset\s*=\s*\"?([a-z0-9_.:-]{1,40})\"?\s*$", re.IGNORECASE)
MARKUP = re.compile(
    r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+)?([a-z][a-z0-9:]*)",
    re.IGNORECASE | re.DOTALL,
)
TEXTUAL = frozenset(
    {
        "application/json",
        "application/xml",
        "application/javascript",
        "application/x-ndjson",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/sql",
        "application/x-sh",
        "application/graphql",
        "application/rtf",
        "image/svg+xml",
    }
)
ALIASES = {
    "image/jpg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-ms-bmp": "image/bmp",
    "image/vnd.microsoft.icon": "image/x-icon",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-m4a": "audio/mp4",
    "audio/x-flac": "audio/flac",
    "application/x-gzip": "application/gzip",
    "application/x-zip-compressed": "application/zip",
    "application/x-pdf": "application/pdf",
}
# Families whose members begin alike: the name that was given decides among them.
FAMILIES = (
    frozenset({"video/mp4", "audio/mp4", "video/quicktime", "video/x-m4v"}),
    frozenset({"video/webm", "audio/webm", "video/x-matroska", "application/x-matroska"}),
    frozenset({"application/ogg", "audio/ogg", "video/ogg", "audio/opus"}),
)
# A signature of two bytes is as likely a word.
SURE = 3
# Characters that no text holds.
BINARY = bytes({*range(9), *range(14, 32)} - {27})
# Readers of PDF look so far for its beginning.
PDF, PDF_BYTES = b"%PDF-", 1024

Signatures = Mapping[int, Mapping[int, Mapping[bytes, tuple[str, ...]]]]


def _index() -> Signatures:
    """Types by where their signature stands, how long it is, and what it says."""
    found: dict[int, dict[int, dict[bytes, tuple[str, ...]]]] = {}
    for row in magic_header_array:
        matches = found.setdefault(row.offset, {}).setdefault(len(row.byte_match), {})
        kinds = (ALIASES.get(row.mime_type, row.mime_type),) if row.mime_type else ()
        matches[row.byte_match] = matches.get(row.byte_match, ()) + kinds
    return found


def _second_parts() -> dict[bytes, tuple[tuple[int, bytes, str], ...]]:
    """What may follow some signatures and says more: (offset, bytes, type)."""
    return {
        first: tuple(
            (part.offset, part.byte_match, ALIASES.get(part.mime_type, part.mime_type))
            for part in parts
            if part.offset >= 0 and part.mime_type
        )
        for first, parts in multi_part_dict.items()
    }


SIGNATURES = _index()
AT = {
    offset: tuple(match for matches in lengths.values() for match in matches)
    for offset, lengths in SIGNATURES.items()
}
# Most content begins no signature, and a look at one byte says so.
FIRST_BYTES = {offset: frozenset(match[0] for match in matches) for offset, matches in AT.items()}
SECOND_PARTS = _second_parts()
# Whoever claims one of these must show its signature.
SIGNED = frozenset(
    kind
    for lengths in SIGNATURES.values()
    for length, matches in lengths.items()
    for kinds in matches.values()
    for kind in kinds
    if length >= SURE
)


def media_type_of(head: bytes, declared: str | None) -> str:
    """The type to keep for content that begins with `head`, with the charset that was declared."""
    base, charset = _split(declared)
    found = _settle(head, base)
    return f"{found}; charset={charset}" if charset and found.startswith("text/") else found


def believed_type(declared: str | None) -> str:
    """What was declared, where the content cannot be looked at."""
    base, charset = _split(declared)
    return f"{base}; charset={charset}" if charset and base.startswith("text/") else base


def base_type(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _split(declared: str | None) -> tuple[str, str | None]:
    base = base_type(declared or "")
    base = ALIASES.get(base, base)
    if not MEDIA_TYPE.fullmatch(base):
        return UNKNOWN, None
    charset = PARAMETERS.search(declared or "")
    return base, charset[1].lower() if charset else None


def _settle(head: bytes, declared: str) -> str:
    if not head:
        return declared
    signatures = _signatures(head)
    if declared in signatures:
        return declared
    known = [kind for kind, length in signatures.items() if length >= SURE]
    if _is_text(head):
        return _settle_text(head, declared, known)
    return _settle_binary(declared, known)


def _settle_text(head: bytes, declared: str, known: list[str]) -> str:
    if declared.startswith("text/") or declared in TEXTUAL or declared.endswith(("+xml", "+json")):
        return declared
    if markup := _markup(head):
        return markup
    # PDF, RTF and their like are text at first sight.
    return known[0] if known else TEXT


def _settle_binary(declared: str, known: list[str]) -> str:
    for family in FAMILIES:
        if declared in family and family & set(known):
            return declared
    if "application/zip" in known:
        return "application/zip"
    # Browsers show these, or their content would have said so itself.
    provable = declared in SIGNED or declared in TEXTUAL or not declared.startswith("application/")
    if not known:
        return UNKNOWN if provable else declared
    # A format of somebody's own may well begin like one that is known.
    believed = not provable and declared != UNKNOWN and known[0].startswith("application/")
    return declared if believed else known[0]


def _signatures(head: bytes) -> dict[str, int]:
    """Media types by how long their signature is, the longest first."""
    found: dict[str, int] = {}
    for offset, lengths in SIGNATURES.items():
        if offset >= len(head) or head[offset] not in FIRST_BYTES[offset]:
            continue
        if not head.startswith(AT[offset], offset):
            continue
        for length, matches in lengths.items():
            match = head[offset : offset + length]
            for kind in matches.get(match, ()):
                found[kind] = max(length, found.get(kind, 0))
            for start, part, kind in SECOND_PARTS.get(match, ()) if match in matches else ():
                if head.startswith(part, start):
                    found[kind] = max(start + len(part) - offset, found.get(kind, 0))
    if PDF in head[:PDF_BYTES]:
        found.setdefault("application/pdf", len(PDF))
    return dict(sorted(found.items(), key=lambda pair: pair[1], reverse=True))


def _is_text(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    if len(head.translate(None, BINARY)) < len(head):
        return False
    if head.isascii():
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _markup(head: bytes) -> str | None:
    """The type of a document that begins with a tag."""
    encoding = "utf-16" if head[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-8-sig"
    found = MARKUP.match(head.decode(encoding, "replace"))
    if found is None:
        return None
    if found[1].lower() in {"svg", "svg:svg"}:
        return "image/svg+xml"
    if head.lstrip(codecs.BOM_UTF8 + b" \t\r\n").startswith(b"<?xml"):
        return "application/xml"
    return "text/html"
