"""The control plane's engine and its unit of work."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from secrets import token_hex
from types import SimpleNamespace
from typing import Any

import asyncpg
from sqlalchemy import Connection, Dialect, ExceptionContext, TextClause, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_only, greenlet_spawn

from undercroft.foundation.db.failures import DRIVER_ERRORS
from undercroft.foundation.db.fair_queue import FairQueue
from undercroft.foundation.db.silence import UNHEARD_MILLISECONDS, limit_unheard, watch
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import DatabaseSettings

RETURNED_AT = "returned_at"
ASK_AFTER_SECONDS = 2.0
CLOSE_SECONDS = 2.0
# Temporary tables come last: unless the path names them they come first, and customers' code that
# ran in a session of ours could have put its own in the place of the catalogue's.
SEARCH_PATH = "pg_catalog, pg_temp"


def connect_options(settings: DatabaseSettings, *, application: str) -> dict[str, Any]:
    """Keyword arguments for `asyncpg.connect` that every connection of ours shares."""
    milliseconds = int(settings.statement_timeout.total_seconds() * 1000)
    options: dict[str, Any] = {
        "timeout": settings.pool_timeout.total_seconds(),
        "connection_class": WatchedConnection,
        "server_settings": {
            "application_name": f"undercroft {application}",
            "timezone": "UTC",
            "statement_timeout": str(milliseconds),
            "idle_in_transaction_session_timeout": "60000",
            # Whoever may create functions in `public` must not have them picked by our statements.
            "search_path": SEARCH_PATH,
            # JIT costs more than any statement of ours runs.
            "jit": "off",
        },
    }
    if settings.pooled:
        # A transaction-mode pooler hands each transaction another server connection: neither
        # prepared statements nor session settings survive there.
        options["statement_cache_size"] = 0
        options["server_settings"] = {"application_name": f"undercroft {application}"}
    return options


class FairPool(AsyncAdaptedQueuePool):
    _queue_class = FairQueue[ConnectionPoolEntry]


class WatchedConnection(asyncpg.Connection):
    """Ends when the machine of the database falls silent (`silence`), whatever it waits for."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        watch(self._socket)

    async def copy_to_table(self, *arguments: Any, **options: Any) -> str:
        """As the driver does, for as long as it takes.

        While a row waits for a lock, Postgres reads no further. The kernel counts that as unheard
        although the machine answers, and would end an import that is only slow.
        """
        limit_unheard(self._socket, 0)
        try:
            status: str = await super().copy_to_table(*arguments, **options)
            return status
        finally:
            limit_unheard(self._socket, UNHEARD_MILLISECONDS)

    async def close(self, *, timeout: float | None = CLOSE_SECONDS) -> None:
        """Say goodbye; who does not hear it, or is gone already, is left without one."""
        with suppress(*DRIVER_ERRORS):
            await super().close(timeout=timeout)

    @property
    def _socket(self) -> Any:
        """None once it may be closed: its number could be another's by then."""
        transport: Any = self._transport  # type: ignore[attr-defined]
        if transport is None or transport.is_closing():
            return None
        return transport.get_extra_info("socket")


class ControlConnection(WatchedConnection):
    """A session of the control plane, in which customers' code may run inside definer's functions.

    It could take a prepared statement away and put its own under the name, which would run with the
    platform's rights at its next use. So nobody can guess the names, and the view that lists them
    is closed where a superuser could close it (`migrations/superuser`).
    """

    def _get_unique_id(self, prefix: str) -> str:
        return f"undercroft_{prefix}_{token_hex(12)}"


class Database:
    """Opens connections as they are needed; `dispose` closes them.

    `session_options` go to every session: the job outbox comes this way.
    """

    def __init__(
        self, settings: DatabaseSettings, session_options: Mapping[str, Any] | None = None
    ) -> None:
        if settings.url is None:
            raise SettingsInvalid("DATABASE_URL is not set and no embedded Postgres runs.")
        self.settings = settings
        self.url = settings.url.get_secret_value()
        self.session_options = dict(session_options or {})
        self.engine = self._create_engine()
        self._statements: dict[TextClause, tuple[str, Sequence[str]]] = {}
        self._sessions = async_sessionmaker(
            self.engine,
            expire_on_commit=False,
            autoflush=False,
            **self.session_options,
        )

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self._sessions.begin() as session:
            yield session

    async def run_alone(self, statement: TextClause, values: Mapping[str, Any]) -> Any | None:
        """The row of one statement that is a whole transaction by itself; columns are attributes.

        It goes past SQLAlchemy, which costs twice what the driver does. `statement` is a constant:
        how the driver wants it is found out once.
        """
        words, names = self._written(statement)
        return await self.fetch_alone(words, [values[name] for name in names])

    async def fetch_alone(self, statement: str, arguments: Sequence[Any]) -> Any | None:
        """As `run_alone`, for a statement in the driver's words."""
        if self.settings.pooled:  # its search path is set within a transaction
            async with self.unit_of_work() as session:
                return await fetch_within(session, statement, arguments)
        row = await greenlet_spawn(self._fetch_row, statement, arguments)
        return None if row is None else SimpleNamespace(**row)

    def _written(self, statement: TextClause) -> tuple[str, Sequence[str]]:
        """As the driver wants it: numbers in the place of names, and the names in their order."""
        if statement not in self._statements:
            compiled = statement.compile(dialect=self.engine.dialect)
            names = getattr(compiled, "positiontup", None) or ()
            self._statements[statement] = str(compiled), names
        return self._statements[statement]

    def _fetch_row(self, statement: str, arguments: Sequence[Any]) -> Any:
        with closing(self.engine.sync_engine.raw_connection()) as pooled:
            driver: Any = pooled.driver_connection
            try:
                return await_only(driver.fetchrow(statement, *arguments))
            except asyncpg.InvalidSQLStatementNameError:
                pooled.invalidate()  # as `_drop_emptied`
                raise

    def connector(self, application: str) -> Callable[[], Awaitable["asyncpg.Connection[Any]"]]:
        """Return a function that opens one driver connection outside the pool."""
        options = connect_options(self.settings, application=application)
        options["connection_class"] = ControlConnection

        async def connect() -> "asyncpg.Connection[Any]":
            connection: asyncpg.Connection[Any] = await asyncpg.connect(self.url, **options)
            return connection

        return connect

    async def dispose(self) -> None:
        await self.engine.dispose()

    def _create_engine(self) -> AsyncEngine:
        cache = {"prepared_statement_cache_size": 0} if self.settings.pooled else {}
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self.connector("control"),
            poolclass=FairPool,
            pool_size=self.settings.pool_size,
            max_overflow=self.settings.pool_overflow,
            pool_timeout=self.settings.pool_timeout.total_seconds(),
            pool_use_lifo=True,
            connect_args=cache,
        )
        event.listen(engine.sync_engine, "checkin", _note_time)
        event.listen(engine.sync_engine, "handle_error", _drop_emptied)
        if not self.settings.pooled:
            event.listen(engine.sync_engine, "after_cursor_execute", _keep_search_path)
            event.listen(engine.sync_engine, "checkout", _check_search_path)
        event.listen(engine.sync_engine, "checkout", partial(_check_alive, engine.dialect))
        if self.settings.pooled:
            # A pooler drops what connections are opened with; see `connect_options`.
            event.listen(engine.sync_engine, "begin", _set_search_path)
        return engine


async def fetch_within(
    session: AsyncSession, statement: str, arguments: Sequence[Any]
) -> Any | None:
    """The row of a statement in the driver's words, in the transaction of `session`."""
    connection = await session.connection()
    return (await connection.exec_driver_sql(statement, tuple(arguments))).one_or_none()


def _set_search_path(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET LOCAL search_path = {SEARCH_PATH}")


def _keep_search_path(connection: Connection, *_execution: Any) -> None:
    """Customers' triggers may set one for our session, with their operators before Postgres'.

    PostgreSQL 18 reports a change of it with the answer, before our next statement.
    """
    if _search_path(connection.connection.driver_connection) != SEARCH_PATH:
        connection.exec_driver_sql("RESET ALL")


def _check_search_path(connection: Any, _record: ConnectionPoolEntry, _proxy: Any) -> None:
    """The same for a path that came with a commit, after which nothing of ours ran."""
    if _search_path(connection.driver_connection) != SEARCH_PATH:
        raise DisconnectionError


def _drop_emptied(context: ExceptionContext) -> None:
    """A session whose prepared statements somebody took away is of no more use."""
    cause = context.original_exception.__cause__
    if isinstance(cause, asyncpg.InvalidSQLStatementNameError):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = False


def _search_path(driver: Any) -> str:
    return str(getattr(driver.get_settings(), "search_path", SEARCH_PATH))


def _note_time(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[RETURNED_AT] = time.monotonic()


def _check_alive(
    dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: Any
) -> None:
    """A restarted Postgres must not cost the first caller of every pooled connection.

    A server that stopped has said so, which the driver knows; only after a rest does it take
    asking, which costs three round trips. `DisconnectionError` makes the pool take another.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError
    rested = time.monotonic() - record.info.get(RETURNED_AT, time.monotonic())
    if rested < ASK_AFTER_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except Exception as error:
        raise DisconnectionError from error
