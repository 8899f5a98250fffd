"""What Undercroft needs of Valkey or Redis."""

from undercroft.cli.checks.finding import Finding, Level, finding
from undercroft.foundation.cache import Cache
from undercroft.foundation.cache.tls import advice_for
from undercroft.foundation.settings import CacheSettings


async def cache_finding(settings: CacheSettings) -> Finding:
    cache = Cache(settings)
    try:
        about = await cache.client.info("server")
    except cache.ERRORS as error:
        advice = advice_for(cache.url, error) or "Check REDIS_URL."
        advice += " Undercroft serves without a cache, slower and less protected."
        return Finding("Cache", Level.WARN, str(error) or type(error).__name__, advice)
    finally:
        await cache.close()
    is_valkey = about.get("server_name") == "valkey"
    name = "Valkey" if is_valkey else "Redis"
    found = str(about.get("valkey_version" if is_valkey else "redis_version"))
    return finding(
        "Cache",
        f"{name} {found}",
        fine=int(found.partition(".")[0]) >= (7 if is_valkey else 6),
        advice="Valkey 7 or Redis 6 or newer is needed.",
    )
