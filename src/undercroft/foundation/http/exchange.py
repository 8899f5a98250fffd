"""One request and its answer, as uvicorn's protocol keeps them."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_RE, STATUS_LINE, RequestResponseCycle

from undercroft.foundation.http.shortcut import Headers

# What no header may hold (RFC 9110, 5.5), line ends among it: those that are there are ours.
_CONTROLS = bytes([*range(0x09), *range(0x0A, 0x20), 0x7F])
_BODILESS = (204, 304)
_FRAMING = (b"content-length", b"transfer-encoding")
_JOINED_BYTES = 65_536  # copying more than that costs more than a second buffer does
_MOST_NAMES = 1000
_proper_names: set[bytes] = set()


class Exchange(RequestResponseCycle):
    """Sends the head of an answer together with what follows it at once.

    Two writes would be two packets and two awakenings of the client. Headers are looked at all
    together: uvicorn takes them one by one, which was a tenth of the time of a small read. Their
    names are in lower case, as ASGI asks.
    """

    _head = b""
    _bodiless = False

    def __init__(self, protocol: Any, *, keep_alive: bool) -> None:
        super().__init__(
            protocol.scope,
            protocol.transport,
            protocol.flow,
            protocol.logger,
            protocol.access_logger,
            False,  # the application logs
            protocol.server_state.default_headers,
            asyncio.Event(),
            protocol.expect_100_continue,
            keep_alive,
            protocol.on_response_complete,
        )
        self._start = protocol.start

    def answer(self, status: int, headers: Headers, body: bytes, ready: bytes = b"") -> None:
        """Send a whole answer with a Content-Length of its own; see `shortcut.Reply`."""
        if not self.disconnected:
            self._head = self._make_head(status, headers, ready=ready)
            self._continue(body, more=False)

    def start_over(self) -> None:
        if not self.disconnected and not self.response_started:
            self._start(self)

    async def send(self, message: Any) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            status, headers = message["status"], message.get("headers", ())
            self._head = self._make_head(status, headers, message.get("reason", b""))
            # What follows may take its time.
            asyncio.get_running_loop().call_soon(self._flush)
        elif kind == "http.response.body" and self.response_started and not self.response_complete:
            self._continue(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} is not expected now.")

    def _make_head(
        self, status: int, headers: Headers, reason: bytes = b"", *, ready: bytes = b""
    ) -> bytes:
        named = dict(headers)
        if not _proper_names.issuperset(named):
            _check_names(named)
        if len(named) != len(headers):
            _check_framing(headers)
        lines = [*map(b": ".join, self.default_headers), *map(b": ".join, headers)]
        if self._frame(status, named.get(b"content-length"), named.get(b"transfer-encoding")):
            lines.append(b"transfer-encoding: chunked")
        if b"close" in named.get(b"connection", b""):
            self.keep_alive = False
        elif not self.keep_alive:
            lines.append(b"connection: close")
        known = None if reason else STATUS_LINE.get(status)
        first = known or b"HTTP/1.1 %d %b\r\n" % (status, reason)
        head = first + b"\r\n".join([*lines, b""])
        if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(lines) + 1):
            raise RuntimeError("A header holds a control character.")
        self.response_started = True
        self.waiting_for_100_continue = False
        return head + ready + b"\r\n"

    def _frame(self, status: int, length: bytes | None, encoding: bytes | None) -> bool:
        """Settle where the body will end, and say whether a header has yet to tell of it."""
        self._bodiless = self.scope["method"] == "HEAD" or status in _BODILESS
        self.chunked_encoding = False
        if encoding is not None:
            if length is not None or encoding != b"chunked":
                raise RuntimeError("The headers do not agree on where the body ends.")
            self.chunked_encoding = True
        elif length is not None:
            self.expected_content_length = int(length)
        elif not self._bodiless:
            self.chunked_encoding = True
            return True
        return False

    def _flush(self) -> None:
        if self._head and not self.transport.is_closing():  # the client may have left meanwhile
            self.transport.write(self._head)
        self._head = b""

    def _continue(self, body: bytes, *, more: bool) -> None:
        if self._bodiless:  # to the client it would be the beginning of the next answer
            body = b""
        elif self.chunked_encoding:
            body = _chunks(body, more=more)
        else:
            self.expected_content_length -= len(body)
            left = self.expected_content_length
            if left < 0 or (left and not more):
                raise RuntimeError("The body is not as long as its Content-Length.")
        head, self._head = self._head, b""
        if len(body) > _JOINED_BYTES:
            self.transport.writelines((head, body))
        elif head or body:
            self.transport.write(head + body)
        if not more:
            self._end()

    def _end(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        on_response = self.on_response
        del self._start, self.on_response  # so that nothing refers to itself any more
        on_response()


def _chunks(body: bytes, *, more: bool) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk if more else chunk + b"0\r\n\r\n"


def _check_framing(headers: Headers) -> None:
    """Refuse two ends of one body: who reads the other one takes the rest for another answer."""
    names = [name for name, _ in headers]
    if any(names.count(name) > 1 for name in _FRAMING):
        raise RuntimeError("The headers say twice where the body ends.")


def _check_names(names: dict[bytes, bytes]) -> None:
    for name in names:
        if not name or HEADER_RE.search(name) or name != name.lower():
            raise RuntimeError(f"{name!r} is no name of a header in lower case.")
    if len(_proper_names) < _MOST_NAMES:
        _proper_names.update(names)
