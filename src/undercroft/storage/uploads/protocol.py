"""What tus 1.0.0 says in headers: https://tus.io/protocols/resumable-upload ."""

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from undercroft.foundation.problems import ClientGone
from undercroft.storage.models import Upload
from undercroft.storage.objects.serving import http_date
from undercroft.storage.wire import Answer, Headers, Refusal, Request, invalid

VERSION = "1.0.0"
RESUMABLE = b"tus-resumable"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
ALGORITHMS = ("sha1", "sha256", "md5")
BODY_TYPE = "application/offset+octet-stream"
LONGEST_METADATA = 16_384


def tus_headers(upload: Upload | None = None) -> Headers:
    headers: Headers = [(RESUMABLE, VERSION.encode()), (b"cache-control", b"no-store")]
    if upload is not None:
        headers.append((b"upload-offset", b"%d" % upload.offset_bytes))
        headers.append((b"upload-expires", http_date(upload.expires_at)))
    return headers


def versioned(answer: Answer) -> Answer:
    """With the version of the protocol, which refusals name, too."""
    if not any(name == RESUMABLE for name, _ in answer.headers):
        answer.headers = [*answer.headers, (RESUMABLE, VERSION.encode())]
    return answer


def check_version(request: Request) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        raise Refusal(
            412,
            "TusError",
            "Tus-Resumable must be 1.0.0",
            headers=[(b"tus-version", VERSION.encode()), *tus_headers()],
        )


def number_in(request: Request, header: str) -> int:
    given = request.headers.get(header, "")
    if not given.isdecimal() or len(given) > 18:
        raise Refusal(400, "TusError", f"{header} must be a number of bytes")
    return int(given)


def read_metadata(request: Request) -> dict[str, str]:
    """Upload-Metadata: names, each with a value in base64."""
    given = request.headers.get("upload-metadata", "")
    if len(given) > LONGEST_METADATA:
        raise invalid("Upload-Metadata is too long")
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in given.split(","))):
        name, _, value = pair.partition(" ")
        try:
            found[name] = base64.b64decode(value.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise invalid("Upload-Metadata cannot be read") from error
    return found


class Chunk:
    """The body of one request. A client that leaves ends it early: what came is kept.

    So does one that is silent for longer than `patience`: its network may be gone without a word,
    and it comes back on another while this request keeps it out.
    """

    def __init__(self, request: Request, patience: timedelta) -> None:
        self._stream = request.stream()
        self._patience = patience.total_seconds()
        self._expected: bytes | None = None
        self._digest: Any = None
        self.cut = self.stalled = False
        if given := request.headers.get("upload-checksum"):
            self._expect(given)

    async def content(self) -> AsyncIterator[bytes]:
        while piece := await self._next():
            if self._digest is not None:
                self._digest.update(piece)
            yield piece

    async def _next(self) -> bytes:
        """The next piece, nothing at the end."""
        try:
            async with asyncio.timeout(self._patience):
                return await anext(self._stream, b"")
        except ClientGone:
            self.cut = True
        except TimeoutError:
            self.cut = self.stalled = True
        return b""

    @property
    def ending(self) -> Headers:
        """What an answer adds that comes before all of its request."""
        return [(b"connection", b"close")] if self.stalled else []

    @property
    def is_broken(self) -> bool:
        """Whether a checksum was promised and does not hold."""
        if self._expected is None:
            return False
        return not hmac.compare_digest(self._digest.digest(), self._expected)

    def _expect(self, given: str) -> None:
        algorithm, _, value = given.partition(" ")
        if algorithm not in ALGORITHMS:
            raise Refusal(400, "TusError", "The checksum's algorithm is not supported")
        try:
            self._expected = base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise Refusal(400, "TusError", "The checksum is not base64") from error
        self._digest = hashlib.new(algorithm, usedforsecurity=False)
