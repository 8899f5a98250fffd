"""Rate limits by the library `limits`, counted in Valkey and, while that is away, in this process.

Falling back keeps a limit on every worker instead of none at all: with N workers a caller may
then get N times the rate, never an unlimited one.
"""

import math
import time
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import (
    MemoryStorage,
    RedisClusterStorage,
    RedisStorage,
    Storage,
)
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from undercroft.foundation.cache.client import Cache, credentials_of
from undercroft.foundation.problems import TooManyRequests
from undercroft.foundation.settings import RateLimitSettings

log = structlog.get_logger()

# How long to count here before trying Valkey again; without it each request would wait for the
# connection time-out of a server that is gone.
RETRY_SECONDS = 1.0


class RateLimiter:
    """Counts hits per (line of the table, caller)."""

    def __init__(self, settings: RateLimitSettings, cache: Cache) -> None:
        self._settings = settings
        self._cache = cache
        self._shared = SlidingWindowCounterRateLimiter(_storage(cache))
        self._local = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._retry_at = 0.0
        self._items: dict[str, RateLimitItem | None] = {}

    async def close(self) -> None:
        """The connections that are the library's own; the others are the cache's to close."""
        storage = self._shared.storage
        if isinstance(storage, RedisClusterStorage):
            bridge: Any = storage.bridge
            await bridge.get_connection().aclose()

    async def hit(self, line: str, caller: str) -> None:
        """Count one request. Raises `TooManyRequests` when the line's rate is used up."""
        item = self._item(line)
        if item is None:
            return
        limiter = self._local if time.monotonic() < self._retry_at else self._shared
        try:
            passed = await limiter.hit(item, line, caller)
        except self._cache.ERRORS as error:
            log.warning("rate_limits_counted_locally", cause=str(error))
            self._retry_at = time.monotonic() + RETRY_SECONDS
            limiter = self._local
            passed = await limiter.hit(item, line, caller)
        if not passed:
            await self._refuse(limiter, item, line, caller)

    async def _refuse(
        self, limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, line: str, caller: str
    ) -> None:
        try:
            stats = await limiter.get_window_stats(item, line, caller)
            wait = max(1, math.ceil(stats.reset_time - time.time()))
        except self._cache.ERRORS:
            wait = item.get_expiry()
        raise TooManyRequests(wait, limit=item.amount)

    def _item(self, line: str) -> RateLimitItem | None:
        if line not in self._items:
            rate = self._settings.rate(line)
            self._items[line] = parse(rate) if rate else None
        return self._items[line]


def _storage(cache: Cache) -> Storage:
    """On the connections that the cache has; of a cluster the library wants its own."""
    prefix = cache.key("limits")
    if not urlsplit(cache.url).scheme.endswith("+cluster"):
        pool = cast("Literal[True]", cache.client.connection_pool)
        return RedisStorage(
            "async+valkey://", implementation="valkey", key_prefix=prefix, connection_pool=pool
        )
    options: dict[str, Any] = {
        "socket_timeout": cache.timeout,
        "socket_connect_timeout": cache.timeout,
        # Handed over, because the library takes what stands in a URL as it stands there.
        **{name: word for name, word in credentials_of(cache.url).items() if word},
        "ssl": bool(cache.tls),
        **cache.tls,
    }
    hosts = cache.url.partition("://")[2].rpartition("@")[2]
    uri = f"async+valkey+cluster://{hosts}"
    return RedisClusterStorage(uri, implementation="valkey", key_prefix=prefix, **options)
