"""Which plane serves a path. Plain string prefixes, because every request passes here."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class Planes:
    """Hot planes by prefix (`/rest/v1`), everything else to the control plane.

    Of `sockets` there may be thousands at once: they go straight to their application, since every
    layer between costs each of them memory for as long as it lives.
    """

    def __init__(
        self,
        control: ASGIApp,
        hot: Mapping[str, ASGIApp],
        sockets: Mapping[str, ASGIApp] | None = None,
    ) -> None:
        self._sockets = dict(sockets or {})
        self._control = control
        self._hot = tuple((prefix, f"{prefix}/", plane) for prefix, plane in hot.items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"] in self._sockets:
            await self._sockets[scope["path"]](scope, receive, send)
            return
        if scope["type"] == "http":
            path = scope["path"]
            for exact, below, plane in self._hot:
                if path.startswith(below) or path == exact:
                    await plane(scope, receive, send)
                    return
        await self._control(scope, receive, send)
