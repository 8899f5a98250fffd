"""The application behind `undercroft rest`: connects, reads the schema, listens for changes."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from undercroft.data.rest.app import RestApp
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.execute import Executor
from undercroft.data.rest.pool import Pool
from undercroft.data.rest.query.sql import qualified
from undercroft.data.rest.request import Receive, Scope, Send
from undercroft.data.rest.standalone.access_log import access_log
from undercroft.data.rest.standalone.connection_string import APPLICATION, connect_arguments
from undercroft.data.rest.standalone.database_settings import read_database_settings
from undercroft.data.rest.standalone.environment import read_settings
from undercroft.data.rest.standalone.metrics import Counts
from undercroft.data.rest.standalone.settings import InvalidSettingError, StandaloneSettings
from undercroft.data.rest.standalone.tokens import CountedReply, TokenVerifier
from undercroft.data.schema.cache import SchemaCache, reload_on_notify
from undercroft.data.schema.introspect import MissingSchemaError
from undercroft.foundation.db import Pipeline, WatchedConnection
from undercroft.foundation.db.failures import DRIVER_ERRORS
from undercroft.foundation.http.shortcut import Reply, Underway

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

log = logging.getLogger(__name__)

_LONGEST_WAIT = 32.0  # seconds between attempts to reach a database
_SWEEPS = 2  # looks at the pool in the time that a session may rest
FAILURES = (*DRIVER_ERRORS, MissingSchemaError, RestError)
_REFUSALS = (*FAILURES, InvalidSettingError)


def create_standalone_app(
    environ: Mapping[str, str], config_file: Path | None = None
) -> "StandaloneApp":
    """Make the app from PostgREST's settings. Raises InvalidSettingError for bad ones."""
    settings = read_settings(environ, config_file=config_file)
    TokenVerifier(settings.jwt, settings.rest.anon_role)  # a bad secret should stop the start
    return StandaloneApp(settings)


class StandaloneApp:
    """Starts and stops with the server's lifespan; answers 503 until the schema could be read.

    `given_up` is set when nothing but another configuration could help.
    """

    def __init__(self, settings: StandaloneSettings) -> None:
        self.settings = settings
        self.counts = Counts()
        self.given_up = asyncio.Event()
        self.pool = Pool(
            self._open,
            size=settings.pool.size,
            acquire_timeout=settings.pool.acquire_timeout,
            prepared=settings.rest.prepared_statements,
        )
        self.schemas = SchemaCache(settings.rest.schemas)
        self._retrying = False
        self._loading = asyncio.Lock()  # who read first must not have the last word
        self._app = self._make_app()
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve HTTP, or run the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._app(scope, receive, send)

    def shortcut(self, scope: Scope, reply: Reply) -> Underway | None:
        """See `foundation.http.shortcut`."""
        return self._app.shortcut(scope, CountedReply(reply, self.counts.tokens))

    @property
    def ready(self) -> bool:
        """Say whether the schema is known and the database was there when last heard of."""
        return self.schemas.loaded and not self._retrying

    async def start(self) -> None:
        """Read the schema, and keep trying in the background when the database is not there.

        Raises InvalidSettingError when the settings of the database are wrong.
        """
        if self.settings.channel_enabled:
            await self._begin_to_listen()
        if not await self._try_to_load(FAILURES) and not self.given_up.is_set():
            self._begin(self._load_eventually())
        self._begin(self._sweep())

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pool.close()

    def reload_soon(self, *, config: bool) -> None:
        """Read the schema, or the settings with it, anew when asked to by a signal."""
        self._begin(self._reload(config=config))

    async def reload_schema(self) -> None:
        async with self._loading:
            await self._read_schema(self.schemas)

    async def _read_schema(self, schemas: SchemaCache) -> None:
        start = time.monotonic()
        try:
            await schemas.refresh(self._lend)
        except FAILURES:
            self.counts.schema_failures += 1
            raise
        self.counts.schema_loads += 1
        self.counts.schema_seconds = time.monotonic() - start

    async def reload_config(self) -> None:
        """Read the settings anew, with those of the database. What the pool is made of stays."""
        async with self._loading:
            settings = await self.read_config()
            TokenVerifier(settings.jwt, settings.rest.anon_role)  # may refuse
            schemas = SchemaCache(
                settings.rest.schemas,
                extra_search_path=settings.rest.extra_search_path,
                hoisted_settings=settings.hoisted_settings,
            )
            await self._read_schema(schemas)
            self.settings, self.schemas = settings, schemas
            self._app = self._make_app()

    async def read_config(self) -> StandaloneSettings:
        sources = self.settings.sources
        settings = read_settings(sources.environ, config_file=sources.config_file)
        if not settings.reads_db_config:
            return settings
        async with self._lend() as connection:
            found = await read_database_settings(connection, settings.pre_config)
        return read_settings(sources.environ, found, sources.config_file)

    def _make_app(self) -> RestApp:
        settings, rest = self.settings, self.settings.rest
        executor = Executor(
            self.pool,
            explicit=not rest.prepared_statements,
            pre_request=qualified(rest.pre_request) if rest.pre_request else None,
        )
        verifier = TokenVerifier(settings.jwt, rest.anon_role, self.counts.tokens)
        hear = access_log(settings.log_level, queries=settings.logs_queries)
        return RestApp(
            executor, self.schemas, verifier, rest, recognise=verifier.recognise, hear=hear
        )

    async def _open(self) -> Pipeline:
        names = {"application_name": APPLICATION}
        timeout = self.settings.pool.acquire_timeout
        return await Pipeline.open(self.settings.db_uri, names, timeout=timeout)

    @asynccontextmanager
    async def _lend(self) -> AsyncGenerator[Connection]:
        """Lend a connection for reading the schema or the settings."""
        connection = await self._connect()
        try:
            yield connection
        finally:
            await connection.close()

    async def _connect(self, **more: Any) -> Connection:
        options = connect_arguments(self.settings.db_uri) | more
        if not self.settings.rest.prepared_statements:
            options["statement_cache_size"] = 0
        return await asyncpg.connect(connection_class=WatchedConnection, **options)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    def _begin(self, work: Any) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(work))

    async def _reload(self, *, config: bool) -> None:
        try:
            await (self.reload_config() if config else self.reload_schema())
        except InvalidSettingError as error:
            log.error("Cannot reload: %s", error)  # noqa: TRY400 - no trace
        except FAILURES as error:
            log.error("Cannot reload yet: %s", error)  # noqa: TRY400 - no trace
            self._retrying = True
            await self._load_eventually()

    async def _try_to_load(self, failures: tuple[type[Exception], ...] = _REFUSALS) -> bool:
        try:
            await self.reload_config()
        except failures as error:
            log.error("Cannot read the database's schema: %s", error)  # noqa: TRY400 - no trace
            if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
                self.given_up.set()
            return False
        self._retrying = False
        return True

    async def _load_eventually(self) -> None:
        wait = 1.0
        while not await self._loads():
            if not self.settings.pool.recovers:
                log.error("Automatic recovery is disabled, so this is the end")
                self.given_up.set()
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _loads(self) -> bool:
        try:
            return await self._try_to_load()
        except Exception:  # nobody else would try again
            log.exception("Cannot read the database's schema")
            return False

    async def _sweep(self) -> None:
        """Close connections that are old or long unused."""
        pool = self.settings.pool
        while True:
            await asyncio.sleep(max(0.5, min(pool.longest_rest, pool.longest_life) / _SWEEPS))
            self.pool.retire(older_than=pool.longest_life, rested=_SWEEPS)

    async def _begin_to_listen(self) -> None:
        """Wait for LISTEN: what changes after the first reading is heard of then."""
        tried = asyncio.get_running_loop().create_future()
        self._begin(self._listen(tried))
        await asyncio.wait([tried], timeout=self.settings.pool.acquire_timeout)
        tried.cancel()

    async def _listen(self, tried: asyncio.Future[None]) -> None:
        """Hear of schema changes; after a lost connection assume that there were some."""
        wait = 1.0
        while True:
            try:
                await self._hear_until_lost(tried)
                wait = 1.0
                self._retrying = True
                await self._load_eventually()
                continue
            except FAILURES:
                pass
            except Exception:  # nobody else would listen
                log.exception("Cannot listen for changes")
            tried.cancel()
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _hear_until_lost(self, tried: asyncio.Future[None]) -> None:
        """Listen; what was read before LISTEN took hold, `tried` being done, is read again."""
        # a replica, which may be among the hosts, has nothing to hear
        connection = await self._connect(target_session_attrs="primary")
        messages: asyncio.Queue[str | None] = asyncio.Queue()
        on_notify = reload_on_notify(
            lambda: self._reload(config=False), lambda: self._reload(config=True)
        )
        try:
            await connection.add_listener(
                self.settings.channel, lambda *message: messages.put_nowait(message[3])
            )
            connection.add_termination_listener(lambda _: messages.put_nowait(None))
            if tried.done():
                await self._reload(config=True)
            else:
                tried.set_result(None)
            while (payload := await messages.get()) is not None:
                await on_notify(payload)
        finally:
            connection.terminate()
