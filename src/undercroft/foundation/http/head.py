"""HEAD: what GET would answer, without its content (RFC 9110, 9.3.2)."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """Has the routes of GET answer, behind the same doors; none is declared twice."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        ended = False

        async def send_head(message: Message) -> None:
            nonlocal ended
            if message["type"] != "http.response.body":
                await send(message)
                return
            if not ended:
                ended = True
                await send({"type": "http.response.body"})
            if message.get("more_body"):
                # What goes on streaming hears what it hears from a client that hung up.
                raise OSError

        try:
            await self._app(_as_get(scope), receive, send_head)
        except ClientDisconnect:
            if not ended:
                raise


def _as_get(scope: Scope) -> Scope:
    """Ranges are GET's alone (RFC 9110, 14.2). Since 2.4 what sends may fail."""
    return {
        **scope,
        "method": "GET",
        "headers": [pair for pair in scope["headers"] if pair[0] != b"range"],
        "asgi": {**scope.get("asgi", {}), "spec_version": "2.4"},
    }
