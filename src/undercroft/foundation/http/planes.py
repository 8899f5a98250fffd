"""Which plane serves a path. Plain string prefixes, because every request passes here."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from undercroft.foundation.http.shortcut import Reply, Shortcut, Underway


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
        offers = ((f"{prefix}/", getattr(plane, "shortcut", None)) for prefix, plane in hot.items())
        self._shortcuts: tuple[tuple[str, Shortcut], ...] = tuple(
            (below, shortcut) for below, shortcut in offers if shortcut
        )
        self._hot = tuple((prefix, f"{prefix}/", plane) for prefix, plane in hot.items())

    def shortcut(self, scope: Scope, reply: Reply) -> Underway | None:
        path = scope["path"]
        for below, shortcut in self._shortcuts:
            if path.startswith(below):
                return shortcut(scope, reply)
        return None

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
