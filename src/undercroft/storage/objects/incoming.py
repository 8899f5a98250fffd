"""The body of an upload as a stream: raw, or the file of a multipart form, never in memory.

`python-multipart` parses the form while it arrives. Fields may stand before the file or behind it.
"""

import base64
import binascii
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson
from python_multipart.multipart import MultipartParser, parse_options_header

from undercroft.storage.backends import SMALL_BYTES
from undercroft.storage.encodings import KNOWN
from undercroft.storage.files import DEFAULT_CACHE_CONTROL, Target
from undercroft.storage.wire import Refusal, Request, invalid

LONGEST_FIELDS = 100_000
CACHE_CONTROL = re.compile(r"[A-Za-z0-9=,\- ]{1,128}")


class Incoming:
    """A raw body. `begin` may be called once the caller is known to be allowed."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._collected: bytes | None = None
        self.declared_type = request.headers.get("content-type")
        self.size_bytes = request.content_length
        self.cache_control = read_cache_control(request.headers.get("cache-control"))
        self.user_metadata = read_metadata(request.headers.get("x-metadata"))
        self.encoding = read_encoding(request.headers.get("content-encoding"))

    @property
    def said(self) -> tuple[object, ...]:
        """What is said about the file; of a form, once it has been read."""
        return self.declared_type, self.cache_control, self.user_metadata, self.encoding

    async def begin(self) -> None:
        """Read up to the file."""

    def content(self) -> AsyncIterator[bytes]:
        return self._request.stream()

    @property
    def is_small(self) -> bool:
        """Whether all of it is worth no more than one piece of memory."""
        length = self._request.content_length
        return length is not None and length <= SMALL_BYTES

    async def collect(self) -> bytes:
        """All of a small body, as often as it is asked for."""
        if self._collected is None:
            await self.begin()
            self._collected = b"".join([chunk async for chunk in self.content()])
        return self._collected

    def describe(self, target: Target) -> Target:
        """The target with what was said about the file; of a form, once it has been read."""
        return replace(
            target,
            cache_control=self.cache_control,
            user_metadata=self.user_metadata,
            encoding=self.encoding,
        )


class IncomingForm(Incoming):
    def __init__(self, request: Request, boundary: bytes) -> None:
        super().__init__(request)
        self.declared_type = self.encoding = None
        # The fields around the file may take so much of the body.
        self.size_bytes = max(0, (request.content_length or 0) - LONGEST_FIELDS)
        self._stream = request.stream()
        self._form = _Form(boundary)

    async def begin(self) -> None:
        form = self._form
        while not form.found_file:
            if form.ended or not await self._feed():
                raise invalid("The form holds no file")
        self.declared_type = form.file_type
        self._apply(form.fields)

    async def content(self) -> AsyncIterator[bytes]:
        form = self._form
        while True:
            for chunk in form.take():
                yield chunk
            if form.ended or not await self._feed():
                break
        for chunk in form.take():
            yield chunk
        if not form.ended:
            raise invalid("The form ends early")
        # What follows the last boundary is read, so that the connection can go on.
        async for chunk in self._stream:
            form.count(len(chunk))
        settled = self.encoding
        self._apply(form.fields)
        if self.encoding != settled:
            raise invalid("contentEncoding has to stand before the file")

    async def _feed(self) -> bool:
        try:
            chunk = await anext(self._stream)
        except StopAsyncIteration:
            return False
        self._form.write(chunk)
        return True

    def _apply(self, fields: dict[str, bytes]) -> None:
        if given := fields.get("cacheControl"):
            self.cache_control = read_cache_control(given.decode("utf-8", "replace"))
        if given := fields.get("metadata"):
            self.user_metadata = _metadata(given)
        if given := fields.get("contentEncoding"):
            self.encoding = read_encoding(given.decode("latin-1"))


class _Form:
    """What the parser calls back; pieces of the file wait in `take` for their reader."""

    def __init__(self, boundary: bytes) -> None:
        self.fields: dict[str, bytes] = {}
        self.found_file = False
        self._in_file = False
        self.file_type: str | None = None
        self.ended = False
        self._pieces: list[bytes] = []
        self._name: str | None = None
        self._header = (bytearray(), bytearray())
        self._headers: dict[str, str] = {}
        self._field = bytearray()
        self._field_bytes = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_part_data": self._data,
                "on_part_end": self._end_part,
                "on_header_field": lambda data, s, e: self._header[0].extend(data[s:e]),
                "on_header_value": lambda data, s, e: self._header[1].extend(data[s:e]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._headers_finished,
                "on_end": self._end,
            },
        )

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except ValueError as error:  # the parser's errors are of this kind
            raise invalid("The form cannot be read") from error

    def take(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def _begin(self) -> None:
        self._headers = {}
        self._name = None
        self._field = bytearray()

    def _end_header(self) -> None:
        name, value = (part.decode("latin-1") for part in self._header)
        self._header = (bytearray(), bytearray())
        self._headers[name.lower()] = value
        self.count(len(name) + len(value))

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition"))
        if b"filename" in options and not self.found_file:
            self.found_file = self._in_file = True
            self.file_type = self._headers.get("content-type")
        elif b"filename" not in options:
            self._name = options.get(b"name", b"").decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name is None:
            if self._in_file:
                whole = start == 0 and end == len(data)
                self._pieces.append(data if whole else data[start:end])
            else:
                self.count(end - start)  # a second file, which nobody asked for
            return
        self.count(end - start)
        self._field += data[start:end]

    def _end_part(self) -> None:
        if self._name is None:
            self._in_file = False
        else:
            self.fields[self._name] = bytes(self._field)

    def _end(self) -> None:
        self.ended = True

    def count(self, size: int) -> None:
        """What is not the file itself may not take long."""
        self._field_bytes += size
        if self._field_bytes > LONGEST_FIELDS:
            raise Refusal(413, "EntityTooLarge", "The form's fields are too large")


def open_incoming(request: Request) -> Incoming:
    """The upload that a request carries; nothing of its body is read yet."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        return Incoming(request)
    boundary = options.get(b"boundary")
    if not boundary:
        raise invalid("The form has no boundary")
    try:
        return IncomingForm(request, boundary)
    except ValueError as error:  # the parser's, of a boundary longer than any
        raise invalid("The form cannot be read") from error


def read_cache_control(given: str | None) -> str:
    """`3600` and `max-age=3600` are the same; anything that is no such header is refused."""
    if not given:
        return DEFAULT_CACHE_CONTROL
    value = f"max-age={given}" if given.isdecimal() else given
    if not CACHE_CONTROL.fullmatch(value):
        raise invalid("cacheControl is not valid")
    return value


def read_encoding(given: str | None) -> str | None:
    """How the content is compressed. Several layers are none that we hand out."""
    encoding = (given or "").strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding not in KNOWN:
        raise invalid(f"contentEncoding must be one of {', '.join(sorted(KNOWN))}")
    return encoding


def read_metadata(given: str | None) -> dict[str, Any] | None:
    if not given:
        return None
    try:
        return _metadata(base64.b64decode(given, validate=True))
    except binascii.Error as error:
        raise invalid("x-metadata is not base64") from error


def _metadata(given: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(given)
    except orjson.JSONDecodeError as error:
        raise invalid("metadata is not JSON") from error
    if not isinstance(found, dict):
        raise invalid("metadata is no object")
    return found
