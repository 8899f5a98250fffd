"""One client for a single server, a sentinel group or a cluster, told apart by the URL's scheme."""

from typing import Any
from urllib.parse import unquote, urlsplit

from valkey.asyncio import Sentinel, Valkey, ValkeyCluster
from valkey.asyncio.cluster import ClusterNode
from valkey.exceptions import ValkeyClusterException, ValkeyError

from undercroft.foundation.cache.tls import tls_options
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import CacheSettings

SENTINEL_PORT = 26379
SERVER_PORT = 6379


class Cache:
    """Holds the client; connects at the first command and reconnects by itself."""

    # What callers catch to do without the cache.
    ERRORS = (ValkeyError, ValkeyClusterException, OSError, TimeoutError)

    def __init__(self, settings: CacheSettings) -> None:
        if settings.url is None:
            raise SettingsInvalid("REDIS_URL is not set and no embedded Valkey runs.")
        self.url = settings.url.get_secret_value()
        self.prefix = settings.prefix
        self.timeout = settings.timeout.total_seconds()
        self.tls = tls_options(settings, self.url)
        self.client: Any = _connect(self.url, self.timeout, self.tls)

    def key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))

    async def ping(self) -> bool:
        try:
            return bool(await self.client.ping())
        except self.ERRORS:
            return False

    def messenger(self) -> Any:
        """A client for PUBLISH and SUBSCRIBE; close it. A cluster passes messages on by itself."""
        parts = urlsplit(self.url)
        if not parts.scheme.endswith("+cluster"):
            return _connect(self.url, self.timeout, self.tls)
        host, port = addresses(self.url, SERVER_PORT)[0]
        return Valkey(
            host=host,
            port=port,
            ssl=bool(self.tls),
            **self.tls,
            **credentials_of(self.url),
            socket_timeout=self.timeout,
            socket_connect_timeout=self.timeout,
        )

    async def close(self) -> None:
        await self.client.aclose()
        manager = getattr(getattr(self.client, "connection_pool", None), "sentinel_manager", None)
        for sentinel in manager.sentinels if manager else ():
            await sentinel.aclose()


def _connect(url: str, timeout: float, tls: dict[str, Any]) -> Any:
    parts = urlsplit(url)
    options: dict[str, Any] = {"socket_timeout": timeout, "socket_connect_timeout": timeout, **tls}
    # Elsewhere than in a single server's URL, TLS is an argument.
    apart = {**options, "ssl": bool(tls)}
    credentials = credentials_of(url)
    match parts.scheme.replace("redis", "valkey").replace("valkeys", "valkey"):
        case "valkey" | "unix":
            return Valkey.from_url(url, **options)
        case "valkey+sentinel":
            hosts = addresses(url, SENTINEL_PORT)
            group: Any = Sentinel(hosts, sentinel_kwargs=apart, **credentials, **apart)  # type: ignore[no-untyped-call]
            return group.master_for(parts.path.strip("/") or "mymaster")
        case "valkey+cluster":
            nodes = [ClusterNode(host, port) for host, port in addresses(url, SERVER_PORT)]
            return ValkeyCluster(startup_nodes=nodes, **credentials, **apart)
    raise SettingsInvalid(
        "REDIS_URL must start with redis://, redis+sentinel:// or redis+cluster://, by TLS with "
        "rediss://, rediss+sentinel:// or rediss+cluster://, or with unix://."
    )


def credentials_of(url: str) -> dict[str, Any]:
    """Name and password, as they are and not as they stand in a URL."""
    parts = urlsplit(url)
    return {
        "username": unquote(parts.username) if parts.username else None,
        "password": unquote(parts.password) if parts.password else None,
    }


def addresses(url: str, default_port: int) -> list[tuple[str, int]]:
    """Every host and port of a URL that lists several, separated by commas."""
    hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    split = (host.rpartition(":") if ":" in host else (host, "", "") for host in hosts)
    return [(host, int(port) if port else default_port) for host, _, port in split]
