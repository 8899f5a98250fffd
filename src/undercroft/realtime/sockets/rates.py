"""How often a socket and a caller may speak and an address may join, counted per worker."""

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from undercroft.foundation.addresses import home_of
from undercroft.foundation.settings import RealtimeSettings

# Averaged over this, so that a page that joins ten channels at once is no flood.
WINDOW_SECONDS = 5


class Rates:
    def __init__(self, settings: RealtimeSettings) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._messages = RateLimitItemPerSecond(
            settings.messages_per_second * WINDOW_SECONDS, WINDOW_SECONDS
        )
        self._together = RateLimitItemPerSecond(
            settings.messages_per_second_per_caller * WINDOW_SECONDS, WINDOW_SECONDS
        )
        self._joins = RateLimitItemPerSecond(
            settings.joins_per_second * WINDOW_SECONDS, WINDOW_SECONDS
        )

    async def may_speak(self, socket_number: int) -> bool:
        return await self._limiter.hit(self._messages, "messages", str(socket_number))

    async def may_send(self, whose: str | None, messages: int = 1) -> bool:
        """All that somebody sends together, by sockets and by HTTP; None counts for nobody."""
        if whose is None:
            return True
        return await self._limiter.hit(self._together, "together", whose, cost=messages)

    async def may_join(self, address: str) -> bool:
        return await self._limiter.hit(self._joins, "joins", home_of(address))
