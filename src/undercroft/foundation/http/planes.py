"""Which plane serves a path. Plain string prefixes, because every request passes here."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class Planes:
    """Hot planes by prefix (`/rest/v1`), everything else to the control plane."""

    def __init__(self, control: ASGIApp, hot: Mapping[str, ASGIApp]) -> None:
        self._control = control
        self._hot = tuple((prefix, f"{prefix}/", plane) for prefix, plane in hot.items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            path = scope["path"]
            for exact, below, plane in self._hot:
                if path.startswith(below) or path == exact:
                    await plane(scope, receive, send)
                    return
        await self._control(scope, receive, send)
