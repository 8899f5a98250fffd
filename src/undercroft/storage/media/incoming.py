"""The file in a multipart body, as a stream: no more of it is in memory than one read brings.

`python-multipart` parses; here its callbacks become an iterator.
"""

import mimetypes
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from undercroft.foundation.problems import ClientGone
from undercroft.storage.media.errors import UploadMalformed, UploadMissing

FIELD = b"file"
# What a form adds to the file in it.
FORM_BYTES = 65_536
MOST_PARTS = 20
LONGEST_PART_HEAD = 16_384
LONGEST_NAME = 255
UNKNOWN = "application/octet-stream"


class IncomingFile:
    """`name` is what the sender calls it, cleaned; `declared_type` what they say it is."""

    def __init__(self, parts: "_Parts") -> None:
        disposition = parts.options
        name = disposition.get(b"filename", b"").decode("utf-8", "replace")
        self.name = _cleaned(name)
        declared = parts.headers.get(b"content-type", b"").decode("latin-1").strip()
        guessed = mimetypes.guess_type(self.name or "")[0]
        self.declared_type = guessed if declared in {"", UNKNOWN} else declared
        self._parts = parts

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises `UploadMalformed` when the part has no end, `ClientGone`."""
        async for piece in self._parts.body():
            yield piece


async def read_file(request: Request) -> IncomingFile:
    """Read up to the file's first byte. Raises `UploadMissing`, `UploadMalformed`."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UploadMissing
    parts = _Parts(request, boundary)
    if not await parts.find_file():
        raise UploadMissing
    return IncomingFile(parts)


class _Parts:
    """The parts of one body, one after the other."""

    def __init__(self, request: Request, boundary: bytes) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.options: dict[bytes, bytes] = {}
        self._stream = request.stream()
        self._pieces: list[bytes] = []
        self._name, self._value = b"", b""
        self._head_bytes = 0
        self._begun = 0
        self._wanted = self._found = self._ended = False
        try:
            self._parser = MultipartParser(boundary, self._callbacks())
        except FormParserError as error:  # a boundary longer than any
            raise UploadMalformed from error

    async def find_file(self) -> bool:
        while not self._found:
            if not await self._read():
                return False
        return True

    async def body(self) -> AsyncIterator[bytes]:
        while True:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            if self._ended:
                break
            if not await self._read():
                raise UploadMalformed
        # What follows is read too, so that the connection can carry the next request.
        while await self._read():
            pass

    async def _read(self) -> bool:
        """Parse the next bytes; False at the end of the body."""
        try:
            chunk = await anext(self._stream, None)
        except ClientDisconnect as error:
            raise ClientGone from error
        if chunk is None:
            return False
        try:
            self._parser.write(chunk)
        except (FormParserError, ValueError) as error:
            raise UploadMalformed from error
        return True

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._field,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_head,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._begun += 1
        self._head_bytes = 0
        if self._begun > MOST_PARTS:
            raise UploadMalformed
        if not self._found:
            self.headers = {}

    def _field(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._name += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._value += data[start:end]

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > LONGEST_PART_HEAD:
            raise UploadMalformed

    def _end_header(self) -> None:
        if not self._found:
            self.headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _end_head(self) -> None:
        if self._found:
            return
        _, options = parse_options_header(self.headers.get(b"content-disposition"))
        if options.get(b"name") == FIELD and b"filename" in options:
            self.options = options
            self._wanted = self._found = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self._pieces.append(data[start:end])

    def _end(self) -> None:
        if self._wanted:
            self._wanted, self._ended = False, True


def _cleaned(name: str) -> str | None:
    """The last part of a path, of characters that can be shown."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(sign for sign in last if sign.isprintable()).strip()
    return shown[:LONGEST_NAME] or None
