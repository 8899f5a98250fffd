"""Valkey or Redis: what we may lose. Counters of rate limits, cached reads, messages to nodes."""

from undercroft.foundation.cache.client import Cache
from undercroft.foundation.cache.limiter import RateLimiter
from undercroft.foundation.cache.reads import CachedReads

__all__ = ["Cache", "CachedReads", "RateLimiter"]
