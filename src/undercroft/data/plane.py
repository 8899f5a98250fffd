"""The rows API on the platform: PostgREST's engine behind our own gate."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import asyncpg
import structlog
from starlette.types import Receive, Scope, Send

from undercroft.data.rest import (
    AnswerStore,
    Batch,
    Caller,
    Executor,
    Pool,
    RestApp,
    RestConfig,
    RestError,
)
from undercroft.data.rest.query.sql import ident
from undercroft.data.rest.request import Head, HttpRequest
from undercroft.data.rest.response import Response
from undercroft.data.schema.cache import SchemaCache
from undercroft.data.schema.introspect import MissingSchemaError
from undercroft.data.schema.model import Catalog
from undercroft.foundation.access import ANONYMOUS, Role, SecondFactorRequired
from undercroft.foundation.context import current_request
from undercroft.foundation.crypto import Keyring
from undercroft.foundation.db import (
    ConnectionLost,
    Database,
    Listener,
    Pipeline,
    connect_options,
)
from undercroft.foundation.db.failures import DRIVER_ERRORS
from undercroft.foundation.db.logins import UNMOVED, Login, authenticator, visitor
from undercroft.foundation.http.idempotency import caller_of_key
from undercroft.foundation.http.shortcut import Reply, Underway
from undercroft.foundation.problems import Unauthorized
from undercroft.foundation.settings import Settings
from undercroft.identity.auth.credentials import read_credentials
from undercroft.identity.auth.gate import Gate

log = structlog.get_logger()

PREFIX = "/rest/v1"
RELOAD_CHANNEL = "pgrst"
# Who writes a trigger must not get what would act as everybody who sets it off.
CREDENTIALS = frozenset({"authorization", "apikey", "x-session-token"})
FUNCTION_SCHEMA = "undercroft"
RETRY_SECONDS = 1.0
# How long requests, and the first of them, wait for a reading that a busy machine is slow with.
LONGEST_READING_SECONDS = 10.0
# Between readings of the schema for who asks for a name that is unknown, where nothing is heard of
# changes: whoever has the anon key could keep Postgres busy with names that nobody has.
PAUSE_SECONDS = 1.0


class RowsPlane:
    """An ASGI application with the pool and the schema cache it works with."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        gate: Gate,
        listener: Listener,
        keyring: Keyring,
    ) -> None:
        data = settings.data
        prepared = not settings.database.pooled
        session = _session_settings(settings) if prepared else {}
        self._options = connect_options(settings.database, application="rows")
        self._options["server_settings"] |= session | (UNMOVED if prepared else {})
        self._database = database
        self._visitor, self._authenticator = visitor(settings), authenticator(settings)
        self._gate = gate
        self._listener = listener
        patience = settings.database.pool_timeout.total_seconds()
        self._pool, self._service_pool = (
            Pool(partial(self._open, login), size=size, acquire_timeout=patience, prepared=prepared)
            for login, size in (
                (self._visitor, data.pool_size),
                (self._authenticator, data.service_pool_size),
            )
        )
        self._schemas = SchemaCache(data.schemas, extra_search_path=data.extra_search_path)
        self._reading: asyncio.Task[None] | None = None
        self._asked: asyncio.Task[None] | None = None
        self._read_at = 0.0
        self._stale = False
        self._tried = asyncio.Event()
        self._stopped = False
        config = RestConfig(
            schemas=data.schemas,
            extra_search_path=data.extra_search_path,
            anon_role=Role.ANON.value,
            max_rows=data.max_rows,
            aggregates_enabled=data.aggregates_enabled,
            prepared_statements=prepared,
            max_body_bytes=int(settings.http.max_rows_body_bytes),
            prefix=PREFIX,
            secret_headers=CREDENTIALS,
            cleans_sessions=True,
            explains_refusals=True,
        )
        executor = Executor(
            self._pool,
            explicit=settings.database.pooled,
            session=session,
            pools={Role.SERVICE.value: self._service_pool},
        )
        answers = AnswerStore(keyring, FUNCTION_SCHEMA, caller_of_key)
        self._app = RestApp(
            executor,
            self._schemas,
            self._authenticate,
            config,
            recognise=self._recognise,
            catch_up=self.catch_up,
            batch=Batch(executor, config, answers),
            answers=answers,
        )
        listener.on(RELOAD_CHANNEL, lambda _payload: self.schema_changed())
        listener.when_deaf(self.schema_changed)

    def shortcut(self, scope: Scope, reply: Reply) -> Underway | None:
        return self._app.shortcut(scope, reply)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    @property
    def schemas(self) -> tuple[str, ...]:
        return self._schemas.schemas

    def connector(self, role: Role) -> Callable[[], Awaitable["asyncpg.Connection[Any]"]]:
        """Return a function that opens a connection which may become `role`."""
        return partial(
            self._connect, self._authenticator if role is Role.SERVICE else self._visitor
        )

    async def _connect(self, login: Login) -> "asyncpg.Connection[Any]":
        connection: asyncpg.Connection[Any] = await login.connect(self._database, **self._options)
        return connection

    async def _open(self, login: Login) -> Pipeline:
        """Open a connection for the pool of a login.

        Callers are told the reason of a failure, and libpq's says where the database is.
        """
        options = self._options
        try:
            return await login.reach(
                self._database,
                lambda: Pipeline.open(
                    login.url, options["server_settings"], timeout=options["timeout"]
                ),
            )
        except ConnectionLost as error:
            raise ConnectionLost("The database cannot be reached.") from error

    @asynccontextmanager
    async def _fresh(self) -> AsyncGenerator["asyncpg.Connection[Any]"]:
        """A session that ran nobody's code, of the login that knows the settings of all roles."""
        connection = await self._connect(self._authenticator)
        try:
            yield connection
        finally:
            await connection.close()

    async def catalog(self) -> Catalog:
        """What is known of the schema, with every change committed before now."""
        await self.catch_up()
        return self._schemas.current

    async def ask(
        self,
        method: str,
        schema: str,
        table: str,
        query: bytes,
        caller: Caller,
        *,
        prefer: str = "",
        body: bytes = b"",
    ) -> Response:
        """Answer for other parts of this process as if asked over HTTP. Raises RestError."""
        head = {"accept": "application/json", "content-type": "application/json"}
        head |= {"prefer": prefer, "accept-profile": schema, "content-profile": schema}
        request = HttpRequest(method, f"/{table}", query, Head(head))
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> MutableMapping[str, Any]:
            if messages:
                return messages.pop()
            await asyncio.Event().wait()  # nobody leaves
            raise AssertionError

        return await self._app.answer(request, receive, caller)

    async def start(self) -> None:
        """Read the schema once before the first request, if the database answers."""
        self.schema_changed()
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_READING_SECONDS):
                await self._tried.wait()

    async def stop(self) -> None:
        self._stopped = True  # news of other processes may still arrive
        for task in (self._asked, self._reading):
            if task:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await asyncio.gather(self._pool.close(), self._service_pool.close())

    def schema_changed(self) -> None:
        """Read the catalogue anew; several calls at once cost one reading."""
        self._stale = True
        if not self._stopped and (self._reading is None or self._reading.done()):
            self._reading = asyncio.get_running_loop().create_task(self._read_schema())

    async def catch_up(self) -> None:
        """Wait for schema changes committed before now, as far as they can be read."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_READING_SECONDS):
                if not await self._listener.catch_up():
                    if self._asked is None:
                        self._asked = asyncio.get_running_loop().create_task(self._ask_in_turn())
                    await asyncio.shield(self._asked)
                if self._reading:
                    await asyncio.wait([self._reading])

    async def _ask_in_turn(self) -> None:
        """One reading for all who wait, a pause after the one before."""
        if self._reading:
            await asyncio.wait([self._reading])
        await asyncio.sleep(self._read_at + PAUSE_SECONDS - asyncio.get_running_loop().time())
        self._asked = None
        self.schema_changed()

    async def _read_schema(self) -> None:
        while self._stale and not self._stopped:
            self._stale = False
            try:
                await self._schemas.refresh(self._fresh)
            except (*DRIVER_ERRORS, MissingSchemaError) as error:
                log.warning("schema_not_read", cause=str(error))
            except Exception:  # whatever it is, what is known grows old until one succeeds
                log.exception("schema_not_read")
            else:
                self._read_at = asyncio.get_running_loop().time()
                continue
            finally:
                self._tried.set()
            self._stale = True
            await asyncio.sleep(RETRY_SECONDS)

    def _recognise(self, headers: Mapping[str, str]) -> Caller | None:
        actor = self._gate.recall(read_credentials(headers))
        if actor is None or actor.half:
            return None
        return Caller(actor.role.value, actor.claims)

    async def _authenticate(self, headers: Mapping[str, str]) -> Caller:
        try:
            actor = await self._gate.admit(read_credentials(headers))
        except Unauthorized as refusal:
            raise RestError(
                401,
                "PGRST301",
                "The token is not valid",
                details=str(refusal),
                headers=[(b"www-authenticate", b'Bearer error="invalid_token"')],
            ) from refusal
        if request := current_request():
            request.actor = actor
        if actor.half:
            raise RestError(
                401,
                "PGRST301",
                SecondFactorRequired.title,
                hint=SecondFactorRequired.detail,
                headers=[(b"www-authenticate", b"Bearer")],
            )
        if actor is ANONYMOUS:
            raise RestError(
                401,
                "PGRST302",
                "Anonymous access is disabled",
                hint="Send an `apikey` header; `undercroft keys show` prints the keys.",
                headers=[(b"www-authenticate", b"Bearer")],
            )
        return Caller(actor.role.value, actor.claims)


def _session_settings(settings: Settings) -> dict[str, str]:
    """What most requests have in common is set once, not with each of them."""
    data = settings.data
    search_path = ", ".join(ident(name) for name in (data.schemas[0], *data.extra_search_path))
    return {
        "search_path": search_path,
        "statement_timeout": str(int(data.statement_timeout.total_seconds() * 1000)),
        "request.method": "GET",
        "request.cookies": "{}",
    }
