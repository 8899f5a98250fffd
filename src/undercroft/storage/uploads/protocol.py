"""What tus 1.0.0 says in headers: https://tus.io/protocols/resumable-upload ."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

from undercroft.foundation.problems import ClientGone
from undercroft.storage.models import Upload
from undercroft.storage.objects.serving import http_date
from undercroft.storage.wire import Headers, Refusal, Request, invalid

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,termination,expiration,checksum"
ALGORITHMS = ("sha1", "sha256", "md5")
BODY_TYPE = "application/offset+octet-stream"
LONGEST_METADATA = 16_384


def tus_headers(upload: Upload | None = None) -> Headers:
    headers: Headers = [(b"tus-resumable", VERSION.encode()), (b"cache-control", b"no-store")]
    if upload is not None:
        headers.append((b"upload-offset", b"%d" % upload.offset_bytes))
        headers.append((b"upload-expires", http_date(upload.expires_at)))
    return headers


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
    """The body of one request. A client that leaves ends it early: what came is kept."""

    def __init__(self, request: Request) -> None:
        self._stream = request.stream()
        self._expected: bytes | None = None
        self._digest: Any = None
        self.cut = False
        if given := request.headers.get("upload-checksum"):
            self._expect(given)

    async def content(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                if self._digest is not None:
                    self._digest.update(piece)
                yield piece
        except ClientGone:
            self.cut = True

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
