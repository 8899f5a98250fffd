"""HTTP/1.1 as uvicorn speaks it, at half its price, with a way past ASGI."""

from collections.abc import Sized
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from undercroft.foundation.http.exchange import Exchange
from undercroft.foundation.http.shortcut import Shortcut, Underway
from undercroft.foundation.http.strange_methods import stand_in
from undercroft.foundation.http.targets import encoded

_PATIENCE_SECONDS = 0.1
_MOST_WAITING = 16


class _Flow(FlowControl):
    """Reads on only while few requests of a connection wait for the answers before theirs.

    uvicorn does with each of them, and a client that never stops asking would fill the memory.
    """

    def __init__(self, transport: Any, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if len(self._waiting) <= _MOST_WAITING:
            super().resume_reading()


def _split(target: bytes) -> tuple[bytes, bytes]:
    """The path and the query of a target that llhttp has accepted (RFC 9112, 3.2)."""
    if target.startswith(b"/") and b"#" not in target:
        path, _, query = target.partition(b"?")
        return path, query
    url = httptools.parse_url(target)
    return url.path, url.query or b""


class LeanProtocol(HttpToolsProtocol):
    """For uvicorn's `http` option. Offers requests to the `shortcut` of the application first."""

    _active_at = 0.0
    _answering: Any = None  # `cycle` is the one that came last
    _arriving: Exchange | None = None  # until all of it is there
    _underway: Underway | None = None

    def __init__(self, *parts: Any, **more: Any) -> None:
        super().__init__(*parts, **more)
        self._shortcut: Shortcut | None = getattr(self.app, "shortcut", None)

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = _Flow(transport, self.pipeline)

    def connection_lost(self, exc: Exception | None) -> None:
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()
        if self._underway is not None:  # which is quick, and to be cut short only if it is not
            self.loop.call_later(_PATIENCE_SECONDS, self._underway.leave)
        super()._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # Never in the midst of a body, whose length has been said.
        begins = self.cycle is None or not self.cycle.more_body
        if begins and not data.isascii():
            data = encoded(data)
        self._active_at = self.loop.time()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserInvalidMethodError:
            self._take_strange_method(data if begins else b"")
        except httptools.HttpParserError:
            self._refuse()
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._unsupported_upgrade_warning()
        exchange, self._arriving = self._arriving, None
        if exchange is not None and not self.transport.is_closing():  # the rest may take its time
            self.start(exchange)

    def _take_strange_method(self, data: bytes) -> None:
        """Read on as if the method were known: what is wrong with it is for the application."""
        found = stand_in(self, data)
        if found is None:
            self._refuse()
            return
        self.parser, rest = found
        try:
            self.parser.feed_data(rest)
        except httptools.HttpParserUpgrade:
            pass  # asked for in vain
        except httptools.HttpParserError:
            self._refuse()

    def _refuse(self) -> None:
        message = "Invalid HTTP request received."
        self.logger.warning(message)
        self.send_400_response(message)

    def handle_websocket_upgrade(self) -> None:
        super()._unset_keepalive_if_required()
        super().handle_websocket_upgrade()

    def on_headers_complete(self) -> None:
        parser, scope = self.parser, self.scope
        scope["method"] = parser.get_method().decode()
        scope["http_version"] = version = parser.get_http_version()
        if parser.should_upgrade() and self._should_upgrade():
            return
        raw_path, query = _split(self.url)
        scope["raw_path"] = raw_path
        path = raw_path.decode()
        scope["path"] = unquote(path) if "%" in path else path
        scope["query_string"] = query
        self._take(Exchange(self, keep_alive=version != "1.0" and parser.should_keep_alive()))

    def _take(self, exchange: Exchange) -> None:
        before, self.cycle = self.cycle, exchange
        if before is not None and not before.response_complete:  # sent without waiting for that
            self.flow.pause_reading()
            self.pipeline.appendleft((exchange, self.app))
            return
        self._answering = self._arriving = exchange

    def on_message_complete(self) -> None:
        super().on_message_complete()
        exchange, self._arriving = self._arriving, None
        if exchange is not None and not self._takes_shortcut(exchange):
            self.start(exchange)

    def _takes_shortcut(self, exchange: Exchange) -> bool:
        if self._shortcut is None or self.flow.write_paused:
            return False  # who does not read is to be waited for
        try:
            scope: Any = exchange.scope
            self._underway = self._shortcut(scope, exchange)
        except Exception:  # noqa: BLE001 - on the ordinary way it is said what is wrong
            return False
        return self._underway is not None

    def start(self, exchange: Exchange) -> None:
        """Begin with a request on the ordinary way."""
        self._start_asgi_task(exchange, self.app)

    def on_response_complete(self) -> None:
        self._underway = None
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._answering, _ = self.pipeline.pop()
            self.start(self._answering)
            return
        self._active_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._close_when_idle(self.timeout_keep_alive)

    # One timer for as long as a connection lives, in place of one for each answer.

    def _close_when_idle(self, seconds: float) -> None:
        loop: Any = self.loop
        self.timeout_keep_alive_task = loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _unset_keepalive_if_required(self) -> None:
        """Leave the timer, which looks for itself whether the connection has been idle."""

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if not self.cycle.response_complete:
            return  # the answer sets another
        left = self._active_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._close_when_idle(left)
        elif not self.transport.is_closing():
            self.transport.close()
