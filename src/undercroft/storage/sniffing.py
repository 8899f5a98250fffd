"""What a file is, by its first bytes: what callers say about it is confirmed, not believed.

`puremagic` knows the signatures. Text has none, so a text type is believed if the content is text
and no page in disguise.
"""

import codecs
import re

import puremagic

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
# Below this a signature of two bytes is as likely a word.
SURE = 0.3


def media_type_of(head: bytes, declared: str | None) -> str:
    """The type to keep for content that begins with `head`, with the charset that was declared."""
    base, charset = _split(declared)
    found = _settle(head, base)
    return f"{found}; charset={charset}" if charset and found.startswith("text/") else found


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
    if _is_text(head):
        return _settle_text(head, declared, signatures)
    return _settle_binary(declared, [kind for kind, sure in signatures.items() if sure >= SURE])


def _settle_text(head: bytes, declared: str, signatures: dict[str, float]) -> str:
    if declared.startswith("text/") or declared in TEXTUAL or declared.endswith(("+xml", "+json")):
        return declared
    if markup := _markup(head):
        return markup
    # PDF, RTF and their like are text at first sight.
    known = [kind for kind, sure in signatures.items() if sure >= SURE]
    return known[0] if known else TEXT


def _settle_binary(declared: str, known: list[str]) -> str:
    for family in FAMILIES:
        if declared in family and family & set(known):
            return declared
    if not known:
        # A type that browsers show needs a signature; the rest is only ever downloaded.
        shown = declared.startswith(("image/", "audio/", "video/", "font/", "text/"))
        return UNKNOWN if shown or declared in TEXTUAL else declared
    if "application/zip" in known:
        return "application/zip"
    if declared != UNKNOWN and declared.startswith("application/") == known[0].startswith(
        "application/"
    ):
        return declared if declared.startswith("application/") else known[0]
    return known[0]


def _signatures(head: bytes) -> dict[str, float]:
    """Media types by how sure their signature is, the surest first."""
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return {}
    found: dict[str, float] = {}
    for match in matches:
        if match.mime_type:
            kind = ALIASES.get(match.mime_type, match.mime_type)
            found[kind] = max(match.confidence, found.get(kind, 0.0))
    return found


def _is_text(head: bytes) -> bool:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return True
    if any(byte < 9 or (13 < byte < 32 and byte != 27) for byte in head):
        return False
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
