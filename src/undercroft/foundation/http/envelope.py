"""The outermost layer of every plane: request id, limits, headers, the last word on failures.

Plain ASGI, because it runs for the hot planes too: one pass over the headers in, one list of
headers out.
"""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from itertools import count, repeat
from typing import NamedTuple

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from undercroft.foundation.context import RequestContext, set_request
from undercroft.foundation.http.metrics import observe_request
from undercroft.foundation.http.rendering import language_of, log_failure, problem_for, render
from undercroft.foundation.http.shortcut import Headers, Reply, Shortcut, Underway
from undercroft.foundation.ids import new_id
from undercroft.foundation.problems import (
    BodyTooLarge,
    HeadersTooLarge,
    QueryTooLong,
)
from undercroft.foundation.settings import Environment, Settings

log = structlog.get_logger()

ACCEPTABLE_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}")
STRICT = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
RELAXED = (
    "default-src 'self'; img-src 'self' data: https:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'self'"
)

OnRefusal = Callable[[RequestContext], Awaitable[None]]
REFUSALS = (401, 403)


class Envelope:
    """Wraps one plane. `plane` is its name in metrics and logs.

    `larger_bodies` are limits for paths with these endings, whose routes stream what they read.
    `on_refusal` hears of every 401 and 403 once it has been answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        *,
        plane: str,
        max_body_bytes: int,
        larger_bodies: Mapping[str, int] | None = None,
        access_log: bool = False,
        on_refusal: OnRefusal | None = None,
    ) -> None:
        self.app = app
        self.on_refusal = on_refusal
        self.plane = plane
        self.max_body_bytes = max_body_bytes
        self.larger_bodies = dict(larger_bodies or {})
        self.max_header_bytes = int(settings.http.max_header_bytes)
        self.max_query_bytes = int(settings.http.max_query_bytes)
        self.access_log = access_log
        self.metrics = settings.observability.metrics
        self._inner: Shortcut | None = getattr(app, "shortcut", None)
        self._own = _Own.of(security_headers(settings))
        # Unique across processes and restarts by its head, cheap by its tail.
        self._request_ids = map("{}{:08x}".format, repeat(new_id().hex[8:]), count())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _acceptable(headers.get(b"x-request-id")) or next(self._request_ids)
        request = self._begin(scope, request_id)
        answer = _Answer(send, self._own, request_id)
        try:
            limit = self._body_limit(scope["path"])
            self._check_head(scope, headers.get(b"content-length"), limit)
            await self.app(scope, _limited(receive, limit), answer)
        except Exception as error:  # noqa: BLE001 - the last door: nothing may leave unrendered
            await self._fail(error, scope, receive, answer)
        finally:
            self._observe(scope, answer.status, time.perf_counter() - request.started)
            if answer.status in REFUSALS and self.on_refusal:
                request.status = answer.status
                await self.on_refusal(request)

    def shortcut(self, scope: Scope, reply: Reply) -> Underway | None:
        """Offer what is within the limits to the plane; see `foundation.http.shortcut`."""
        if self._inner is None:
            return None
        headers = dict(scope["headers"])
        if b"transfer-encoding" in headers or len(reply.body) > self._body_limit(scope["path"]):
            return None
        if len(scope["query_string"]) > self.max_query_bytes:
            return None
        if _size(scope) > self.max_header_bytes:
            return None
        request_id = _acceptable(headers.get(b"x-request-id")) or next(self._request_ids)
        return self._inner(scope, _Reply(self._own, self._observe, scope, reply, request_id))

    def _begin(self, scope: Scope, request_id: str) -> RequestContext:
        client = scope.get("client")
        request = RequestContext(
            request_id,
            self.plane,
            scope["method"],
            scope["path"],
            client[0] if client else None,
            scope["headers"],
        )
        set_request(request)
        return request

    def _body_limit(self, path: str) -> int:
        for ending, limit in self.larger_bodies.items():
            if path.endswith(ending):
                return limit
        return self.max_body_bytes

    def _check_head(self, scope: Scope, length: bytes | None, max_body_bytes: int) -> None:
        if len(scope["query_string"]) > self.max_query_bytes:
            raise QueryTooLong(self.max_query_bytes)
        if length is not None and length.isdigit() and int(length) > max_body_bytes:
            raise BodyTooLarge(max_body_bytes)
        if _size(scope) > self.max_header_bytes:
            raise HeadersTooLarge(self.max_header_bytes)

    async def _fail(
        self, error: Exception, scope: Scope, receive: Receive, answer: "_Answer"
    ) -> None:
        problem = problem_for(error)
        log_failure(problem, error)
        if answer.complete:
            return
        if answer.status:
            # Part of the answer is out: cutting the connection is the only honest end.
            raise error
        language = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
        response = render(problem, language or None, language_of(scope))
        await response(scope, receive, answer)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        if self.metrics:
            observe_request(self.plane, scope["method"], status, seconds)
        if self.access_log:
            client = scope.get("client")
            log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(seconds * 1000, 1),
                address=client[0] if client else None,
            )


def _size(scope: Scope) -> int:
    return sum([len(name) + len(value) for name, value in scope["headers"]])


class _Own(NamedTuple):
    """The headers that answers carry unless they set their own; `lines` are all of them."""

    headers: tuple[tuple[bytes, bytes], ...]
    names: frozenset[bytes]
    lines: bytes

    @classmethod
    def of(cls, headers: list[tuple[bytes, bytes]]) -> "_Own":
        names = {name for name, _ in headers}
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return cls(tuple(headers), frozenset(names | {b"x-request-id"}), lines)

    def added(self, given: Headers, request_id: str) -> list[tuple[bytes, bytes]]:
        own = [*self.headers, (b"x-request-id", request_id.encode())]
        names = [name for name, _ in given]
        if not self.names.isdisjoint(names):
            own = [pair for pair in own if pair[0] not in names]
        return [*given, *own]


class _Reply:
    """Adds what the envelope does to an answer by the shortcut."""

    __slots__ = ("body", "observe", "own", "reply", "request_id", "scope", "start_over", "started")

    def __init__(
        self,
        own: _Own,
        observe: Callable[[Scope, int, float], None],
        scope: Scope,
        reply: Reply,
        request_id: str,
    ) -> None:
        self.own = own
        self.observe = observe
        self.scope = scope
        self.reply = reply
        self.request_id = request_id
        self.body = reply.body
        self.start_over = reply.start_over
        self.started = time.perf_counter()

    def answer(self, status: int, headers: Headers, body: bytes, ready: bytes = b"") -> None:
        own, request_id = self.own, self.request_id
        if own.names.isdisjoint([name for name, _ in headers]):
            headers = [*headers, (b"x-request-id", request_id.encode())]
            self.reply.answer(status, headers, body, ready + own.lines)
        else:
            self.reply.answer(status, own.added(headers, request_id), body, ready)
        # What cannot be sent starts over, and is counted there.
        self.observe(self.scope, status, time.perf_counter() - self.started)


class _Answer:
    """A `send` that adds our headers and remembers how far the answer got.

    `status` is 0 until one has gone out.
    """

    __slots__ = ("complete", "own", "request_id", "send", "status")

    def __init__(self, send: Send, own: _Own, request_id: str) -> None:
        self.send = send
        self.own = own
        self.request_id = request_id
        self.status = 0
        self.complete = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = message.get("headers", ())
            message = {**message, "headers": self.own.added(given, self.request_id)}
        await self.send(message)
        if message["type"] == "http.response.body":
            self.complete = not message.get("more_body")


def _limited(receive: Receive, max_bytes: int) -> Receive:
    """Count the body while it is read, whatever Content-Length claims."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > max_bytes:
                raise BodyTooLarge(max_bytes)
        return message

    return limited


def _acceptable(request_id: bytes | None) -> str | None:
    if request_id is None or not ACCEPTABLE_REQUEST_ID.fullmatch(request_id):
        return None
    return request_id.decode()


def security_headers(settings: Settings) -> list[tuple[bytes, bytes]]:
    """The headers that every answer carries unless it sets its own."""
    headers = {
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "strict-origin-when-cross-origin",
        "permissions-policy": "geolocation=(), microphone=(), camera=()",
        "cross-origin-opener-policy": "same-origin",
    }
    if settings.http.csp_mode != "disabled":
        policy = STRICT if settings.http.csp_mode == "strict" else RELAXED
        headers["content-security-policy"] = policy
    if settings.environment is Environment.PRODUCTION:
        headers["strict-transport-security"] = "max-age=31536000; includeSubDomains"
    return [(name.encode(), value.encode()) for name, value in headers.items()]
