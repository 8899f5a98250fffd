"""Answering with a file: conditions, ranges, and headers that keep browsers from running it.

Conditional requests are RFC 9110 section 13, ranges section 14; `werkzeug` parses both.
"""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

from werkzeug.http import parse_date, parse_etags, parse_if_range_header, parse_range_header

from undercroft.storage.encodings import KNOWN, OPAQUE
from undercroft.storage.files import Files
from undercroft.storage.lookup import StoredFile
from undercroft.storage.names import disposition
from undercroft.storage.sniffing import base_type, believed_type
from undercroft.storage.wire import Answer, Headers, Refusal, Request

CREDENTIALS = b"authorization, apikey, cookie"
# What browsers only show. Everything else is downloaded: markup, scripts, PDF.
INLINE = frozenset(
    {
        "image/png",
        "image/jpeg",
        "image/gif",
        "image/webp",
        "image/avif",
        "image/bmp",
        "image/x-icon",
        "video/mp4",
        "video/webm",
        "video/ogg",
        "video/quicktime",
        "audio/mpeg",
        "audio/mp4",
        "audio/ogg",
        "audio/wav",
        "audio/webm",
        "audio/flac",
        "audio/aac",
        "text/plain",
        "application/json",
    }
)
POLICY = b"default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
ALWAYS = (
    (b"accept-ranges", b"bytes"),
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
# Merged, so that many small pieces are not many reads; more than this is no client's need.
MOST_RANGES = 10
# What a file's owner may say to caches that everybody shares only where everybody may read.
SHARED = ("public", "s-maxage", "proxy-revalidate")


@dataclass(frozen=True, slots=True)
class Served:
    """How a file is handed out. `seconds_left` bounds caching of what a signed URL gave."""

    public: bool = False
    seconds_left: int | None = None

    @property
    def by_credentials(self) -> bool:
        """Whether another caller would get another answer: browsers are used by several."""
        return not self.public and self.seconds_left is None


async def serve(files: Files, request: Request, file: StoredFile, how: Served) -> Answer:
    headers = _headers(request, file, how)
    modified = file.updated_at.replace(microsecond=0)
    if refused := conditions(request, file.etag, modified):
        return Answer(refused, headers=headers)
    ranges = _ranges(request, file, modified)
    if ranges is None:
        headers.append(_content_type(file))
        small = None if request.method == "HEAD" else await files.read_small(file)
        body = files.read(file) if small is None else small
        return Answer(200, body, headers, length=file.size_bytes)
    if len(ranges) == 1:
        start, end = ranges[0]
        described = b"bytes %d-%d/%d" % (start, end - 1, file.size_bytes)
        return Answer(
            206,
            files.read(file, start, end),
            [*headers, _content_type(file), (b"content-range", described)],
            length=end - start,
        )
    return _several(files, file, ranges, headers)


def conditions(request: Request, etag: str, modified: datetime) -> int:
    """304 or 412 if the request's conditions say so, 0 to go on."""
    given = request.headers
    tag = etag.strip('"')
    if "if-match" in given:
        if not parse_etags(given["if-match"]).contains(tag):
            return 412
    elif "if-unmodified-since" in given:
        since = parse_date(given["if-unmodified-since"])
        if since is not None and modified > since:
            return 412
    if "if-none-match" in given:
        return 304 if parse_etags(given["if-none-match"]).contains_weak(tag) else 0
    if "if-modified-since" in given:
        since = parse_date(given["if-modified-since"])
        if since is not None and modified <= since:
            return 304
    return 0


@lru_cache(maxsize=1024)
def cache_control(stored: str | None, how: Served) -> bytes:
    """Only what everybody may read may be kept by caches that everybody shares."""
    given = stored or "no-cache"
    if not how.public:
        wanted = (part.strip() for part in given.split(","))
        given = ", ".join(part for part in wanted if part and not part.lower().startswith(SHARED))
        given = given or "no-cache"
    if how.seconds_left is not None:
        given = f"max-age={max(0, how.seconds_left)}" if "max-age" in given.lower() else given
    scope = "public" if how.public else "private"
    return f"{scope}, {given if given.isprintable() else 'no-cache'}".encode("ascii", "ignore")


def _headers(request: Request, file: StoredFile, how: Served) -> Headers:
    headers: Headers = [
        (b"etag", file.etag.encode()),
        (b"last-modified", http_date(file.updated_at)),
        (b"cache-control", cache_control(file.cache_control, how)),
        *ALWAYS,
    ]
    if how.by_credentials:
        headers.append((b"vary", CREDENTIALS))
    if file.encoding in KNOWN:
        headers.append((b"content-encoding", file.encoding.encode()))
    asked = request.query.get("download")
    if asked is not None:
        headers.append((b"content-disposition", _disposition(asked or file.name)))
    elif base_type(file.content_type) not in INLINE or file.encoding in OPAQUE:
        headers.append((b"content-disposition", _disposition(file.name)))
    return headers


def _disposition(name: str) -> bytes:
    return disposition("attachment", name).encode("ascii", "replace")


def _content_type(file: StoredFile) -> tuple[bytes, bytes]:
    return (b"content-type", _readable_type(file.content_type))


@lru_cache(maxsize=1024)
def _readable_type(stored: str) -> bytes:
    return believed_type(stored).encode("ascii")


@lru_cache(maxsize=4096)
def http_date(moment: datetime) -> bytes:
    return format_datetime(moment.astimezone(UTC), usegmt=True).encode()


def _ranges(request: Request, file: StoredFile, modified: datetime) -> list[tuple[int, int]] | None:
    """What to send, in order and without overlaps; None for the whole file.

    Raises a `Refusal` for ranges outside the file and for storms of them.
    """
    header = request.headers.get("range")
    # Of HEAD the standard says no more than that it has none.
    if header is None or request.method == "HEAD" or not _still_holds(request, file, modified):
        return None
    if header.count(",") >= MOST_RANGES:
        found = None
    else:
        found = parse_range_header(header)
        if found is None or found.units != "bytes":
            return None  # not understood: RFC 9110 has it ignored
    merged: list[tuple[int, int]] = []
    for start, end in sorted(_bounds(found.ranges, file.size_bytes)) if found else ():
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    if not merged:
        raise Refusal(
            416,
            "InvalidRange",
            "invalid range provided",
            error="invalid_range",
            headers=[(b"content-range", b"bytes */%d" % file.size_bytes)],
        )
    return merged


def _bounds(ranges: object, size: int) -> list[tuple[int, int]]:
    bounds = []
    for start, end in ranges:  # type: ignore[attr-defined]
        first = max(0, size + start) if start < 0 else start
        last = size if end is None else min(end, size)
        if first < last:
            bounds.append((first, last))
    return bounds


def _still_holds(request: Request, file: StoredFile, modified: datetime) -> bool:
    """Whether If-Range, where there is one, still describes this file."""
    header = request.headers.get("if-range")
    if header is None:
        return True
    if header.startswith("W/"):
        return False  # a weak tag promises too little to put pieces together
    found = parse_if_range_header(header)
    if found.date is not None:
        return modified == found.date
    return found.etag == file.etag.strip('"')


def _several(
    files: Files, file: StoredFile, ranges: list[tuple[int, int]], headers: Headers
) -> Answer:
    """multipart/byteranges (RFC 9110, section 14.6)."""
    boundary = secrets.token_hex(16).encode()
    kind = _content_type(file)[1]
    heads = [
        b"\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %d-%d/%d\r\n\r\n"
        % (boundary, kind, start, end - 1, file.size_bytes)
        for start, end in ranges
    ]
    tail = b"\r\n--%s--\r\n" % boundary
    length = len(tail) + sum(len(head) for head in heads) + sum(e - s for s, e in ranges)

    async def body() -> AsyncIterator[bytes]:
        for head, (start, end) in zip(heads, ranges, strict=True):
            yield head
            async for chunk in files.read(file, start, end):
                yield chunk
        yield tail

    described = (b"content-type", b"multipart/byteranges; boundary=" + boundary)
    return Answer(206, body(), [*headers, described], length=length)
