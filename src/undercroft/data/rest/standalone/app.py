"""The application behind `undercroft rest`: connects, reads the schema, listens for changes."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import asyncpg

from undercroft.data.rest.app import RestApp
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.execute import Executor
from undercroft.data.rest.pool import Connection, Pool
from undercroft.data.rest.query.sql import qualified
from undercroft.data.rest.request import Receive, Scope, Send
from undercroft.data.rest.standalone.connection_string import connect_arguments
from undercroft.data.rest.standalone.database_settings import read_database_settings
from undercroft.data.rest.standalone.environment import StandaloneSettings, read_settings
from undercroft.data.rest.standalone.tokens import TokenVerifier
from undercroft.data.schema.cache import SchemaCache, reload_on_notify
from undercroft.data.schema.introspect import MissingSchemaError

log = logging.getLogger(__name__)

_LONGEST_WAIT = 32.0  # seconds between attempts to reach a database
_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, MissingSchemaError, RestError)


def create_standalone_app(environ: Mapping[str, str]) -> "StandaloneApp":
    """Make the app from PostgREST's variables. Raises InvalidSettingError for bad ones."""
    settings = read_settings(environ)
    TokenVerifier(settings.jwt, settings.rest.anon_role)  # a bad secret should stop the start
    return StandaloneApp(settings)


class StandaloneApp:
    """Starts and stops with the server's lifespan; answers 503 until the schema could be read."""

    def __init__(self, settings: StandaloneSettings) -> None:
        self.settings = settings
        self.pool = Pool(
            self._connect, size=settings.pool_size, acquire_timeout=settings.pool_timeout
        )
        self._cache = SchemaCache(settings.rest.schemas)
        self._app = self._make_app()
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve HTTP, or run the server's lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._app(scope, receive, send)

    async def start(self) -> None:
        """Read the schema, and keep trying in the background when the database is not there."""
        if not await self._try_to_load():
            self._tasks.append(asyncio.create_task(self._load_eventually()))
        if self.settings.channel_enabled:
            self._tasks.append(asyncio.create_task(self._listen()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pool.close()

    async def reload_schema(self) -> None:
        await self._cache.refresh(self.pool.acquire)

    async def reload_config(self) -> None:
        """Read the settings anew, with those of the database. What the pool is made of stays."""
        settings = read_settings(self.settings.environment)
        if settings.reads_db_config:
            async with self.pool.acquire() as connection:
                found = await read_database_settings(connection, settings.pre_config)
            settings = read_settings(self.settings.environment, found)
        self.settings = settings
        self._cache = SchemaCache(
            settings.rest.schemas,
            extra_search_path=settings.rest.extra_search_path,
            hoisted_settings=settings.hoisted_settings,
        )
        await self._cache.refresh(self.pool.acquire)
        self._app = self._make_app()

    def _make_app(self) -> RestApp:
        rest = self.settings.rest
        executor = Executor(
            self.pool,
            prepared=rest.prepared_statements,
            pre_request=qualified(rest.pre_request) if rest.pre_request else None,
        )
        verifier = TokenVerifier(self.settings.jwt, rest.anon_role)
        return RestApp(executor, self._cache, verifier, rest)

    async def _connect(self) -> Connection:
        options: dict[str, Any] = {"server_settings": {"application_name": "undercroft rest"}}
        if not self.settings.rest.prepared_statements:
            options["statement_cache_size"] = 0
        return await asyncpg.connect(**connect_arguments(self.settings.db_uri), **options)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _try_to_load(self) -> bool:
        try:
            await self.reload_config()
        except _FAILURES as error:
            log.error("Cannot read the database's schema: %s", error)  # noqa: TRY400 - no trace
            return False
        return True

    async def _load_eventually(self) -> None:
        wait = 1.0
        while not await self._try_to_load():
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _listen(self) -> None:
        """Hear of schema changes; after a lost connection assume that there were some."""
        wait = 1.0
        while True:
            with suppress(*_FAILURES):
                await self._hear_until_lost()
                wait = 1.0
                await self._load_eventually()
                continue
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _hear_until_lost(self) -> None:
        connection = await self._connect()
        messages: asyncio.Queue[str | None] = asyncio.Queue()
        on_notify = reload_on_notify(self.reload_schema, self.reload_config)
        try:
            await connection.add_listener(
                self.settings.channel, lambda *message: messages.put_nowait(message[3])
            )
            connection.add_termination_listener(lambda _: messages.put_nowait(None))
            while (payload := await messages.get()) is not None:
                with suppress(*_FAILURES):
                    await on_notify(payload)
        finally:
            connection.terminate()
