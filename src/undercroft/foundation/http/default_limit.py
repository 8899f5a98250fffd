"""The rate that holds for a whole plane, per address; routes may add a stricter line."""

from starlette.types import ASGIApp, Receive, Scope, Send

from undercroft.foundation.addresses import home_of
from undercroft.foundation.cache import RateLimiter


class DefaultLimit:
    """Counts before anything else is done. Probes of load balancers are not counted."""

    def __init__(
        self,
        app: ASGIApp,
        limiter: RateLimiter,
        *,
        line: str = "default",
        exempt: tuple[str, ...] = (),
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._line = line
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(self._exempt):
            client = scope.get("client")
            await self._limiter.hit(self._line, home_of(client[0]) if client else "unknown")
        await self._app(scope, receive, send)
