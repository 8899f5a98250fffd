"""Both engines of a home as one thing."""

import re

from pydantic import SecretStr

from undercroft.foundation.embedded.engine import Engine
from undercroft.foundation.embedded.errors import HomeUnusable
from undercroft.foundation.embedded.home import Home
from undercroft.foundation.embedded.postgres import PostgresEngine
from undercroft.foundation.embedded.secrets import HomeSecrets
from undercroft.foundation.embedded.valkey import ValkeyEngine
from undercroft.foundation.settings import HttpSettings, Settings

# Consoles, migrations, backups, replication: whatever is not a pool of ours.
SPARE_CONNECTIONS = 40
LOOPBACK = re.compile(r"//(127\.0\.0\.1|\[::1\]):")
USUAL_PROCESSES = 3  # two web workers and a job worker


class EmbeddedEngines:
    """Those engines that `settings` names no server for. The caller holds the home's lock."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        processes: int = USUAL_PROCESSES,
        durable: bool = True,
    ) -> None:
        self._home = home
        self.postgres: PostgresEngine | None = None
        self.valkey: ValkeyEngine | None = None
        if settings.database.url and settings.cache.url:
            return
        account = home.prepare()
        secrets = HomeSecrets.of(home)
        if settings.database.url is None:
            self.postgres = PostgresEngine(
                home,
                secrets,
                account,
                connections=connections_for(settings, max(processes, USUAL_PROCESSES)),
                durable=durable,
            )
        if settings.cache.url is None:
            self.valkey = ValkeyEngine(home, secrets, account)

    @property
    def running(self) -> list[Engine]:
        return [engine for engine in (self.postgres, self.valkey) if engine is not None]

    def launch(self) -> None:
        """Start both and return; work of our own fits in before `wait_ready`."""
        try:
            for engine in self.running:
                engine.launch()
        except OSError as error:
            raise HomeUnusable(
                f"Cannot use the home {self._home.root}: {error.strerror} ({error.filename})."
            ) from error

    def wait_ready(self) -> None:
        for engine in self.running:
            engine.wait_ready()
        if self.postgres:
            self.postgres.prepare_database()

    def stop(self) -> None:
        """In reverse, so that what works on rows loses its cache before its database."""
        for engine in reversed(self.running):
            engine.stop()

    def urls(self) -> tuple[str | None, str | None]:
        """Addresses of Postgres and Valkey; `None` for one that is not embedded."""
        return (
            self.postgres.url() if self.postgres else None,
            self.valkey.url() if self.valkey else None,
        )


def filled_in(
    settings: Settings,
    urls: tuple[str | None, str | None],
    secret: SecretStr,
    *,
    address: str | None = None,
) -> Settings:
    """`settings` with nothing left open: addresses and the secret key are set.

    `address` is where this server answers: links lead there unless the settings say where to.
    """
    database_url, cache_url = urls
    database, cache = settings.database, settings.cache
    if database_url:
        database = database.model_copy(update={"url": SecretStr(database_url)})
    if cache_url:
        cache = cache.model_copy(update={"url": SecretStr(cache_url)})
    return settings.model_copy(
        update={
            "database": database,
            "cache": cache,
            "http": _at(settings.http, address),
            "secret_key": secret,
        }
    )


def _at(http: HttpSettings, address: str | None) -> HttpSettings:
    """Loopback by its name: a passkey belongs to a name and never to an address."""
    if http.base_url or address is None:
        return http
    named = LOOPBACK.sub("//localhost:", address)
    return http.model_copy(update={"base_url": named})


def connections_for(settings: Settings, processes: int) -> int:
    """Connections that this many processes of ours may open at their busiest."""
    database = settings.database
    data = settings.data
    pools = data.pool_size + data.service_pool_size + settings.storage.pool_size
    pools += 2 * settings.realtime.pool_size  # one of each of the rows API's logins
    each = database.pool_size + database.pool_overflow + pools + 2
    return max(100, each * processes + SPARE_CONNECTIONS)
