"""The admin server: is this process alive and ready, what does it count, what does it know.

It has a port of its own, which nobody but the operators should reach. The settings are not told
there, since PostgREST 13 for good reason: there are secrets among them.
"""

import socket

from undercroft.data.rest.request import Receive, Scope, Send
from undercroft.data.rest.standalone.app import StandaloneApp
from undercroft.data.rest.standalone.metrics import write_metrics
from undercroft.data.rest.standalone.schema_dump import dump_schema

_REACH_WITHIN = 1.0  # seconds


class AdminApp:
    """Answers for `app`, which serves at the socket `bound`."""

    def __init__(self, app: StandaloneApp, bound: socket.socket) -> None:
        self._app = app
        self._bound = bound

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        status, kind, body = self._answer(scope["path"])
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, path: str) -> tuple[int, bytes, bytes]:
        match path:
            case "/live":
                return (200 if self._reachable() else 500), b"text/plain", b""
            case "/ready":
                return self._readiness(), b"text/plain", b""
            case "/metrics":
                text = write_metrics(self._app.counts, self._app.pool)
                return 200, b"text/plain; charset=utf-8", text.encode()
            case "/schema_cache" if self._app.schemas.loaded:
                document = dump_schema(self._app.schemas.current)
                return 200, b"application/json; charset=utf-8", document
        return 404, b"text/plain", b""

    def _readiness(self) -> int:
        if not self._reachable():
            return 500
        return 200 if self._app.ready else 503

    def _reachable(self) -> bool:
        """Connect to the API's own socket, which may be closed, or at a path that is gone."""
        try:
            with socket.socket(self._bound.family) as client:
                client.settimeout(_REACH_WITHIN)
                client.connect(self._bound.getsockname())
        except OSError:
            return False
        return True
