"""Connections as the developer: the login that owns what customers make and knows nothing of ours.

Whatever may run code that customers wrote (their triggers, defaults, functions, scripts) runs on
one of these or through `run_as_developer`, and never as the control plane.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.wire import TextConnection
from undercroft.foundation.db import Database, connect_options
from undercroft.foundation.db.logins import UNMOVED, change_roles, developer
from undercroft.foundation.settings import Settings

SESSION = UNMOVED | {"client_connection_check_interval": "1000"}
DEFAULTS = """
    SELECT DISTINCT format('ALTER ROLE %I%s RESET ALL', current_user,
                           coalesce(' IN DATABASE ' || quote_ident(d.datname), ''))
      FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase
     WHERE s.setrole = current_user::regrole
"""


class Developer:
    """Opens sessions that live for one piece of work, so that no state passes on to the next."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._login = developer(settings)
        self._search_path = ", ".join(
            '"' + name.replace('"', '""') + '"'
            for name in dict.fromkeys(("public", *settings.data.extra_search_path))
        )

    @asynccontextmanager
    async def session(self, application: str, **options: str) -> AsyncIterator[TextConnection]:
        """A connection of its own. When the block fails, its backend is ended, whatever it does."""
        connection = await self._open(application, options)
        ended = False
        try:
            yield connection
            ended = True
        finally:
            if ended and not connection.is_closed():
                await connection.close()
            else:
                await self._end(connection)

    def connector(self, application: str) -> Callable[[], Awaitable[TextConnection]]:
        """Return a function that opens a connection, for who closes it themselves."""

        async def connect() -> TextConnection:
            return await self._open(application, {})

        return connect

    async def verify(self) -> None:
        """Take back a changed password and lasting defaults: a role may always set its own."""
        connection = await self._open("check", {})
        try:
            defaults = await connection.fetch(DEFAULTS)
        finally:
            await connection.close()
        if defaults:
            await change_roles(self._database, [str(row[0]) for row in defaults])

    async def _open(self, application: str, options: dict[str, str]) -> TextConnection:
        shared = connect_options(self._settings.database, application=application)
        shared["connection_class"] = TextConnection
        shared["statement_cache_size"] = 0
        shared["server_settings"] |= SESSION | {"search_path": self._search_path} | options
        connection: TextConnection = await self._login.connect(self._database, **shared)
        connection.use_text()
        return connection

    async def _end(self, connection: TextConnection) -> None:
        """A cancelled query may catch its cancellation; a terminated backend cannot."""
        pid = connection.get_server_pid()
        connection.terminate()
        async with self._database.unit_of_work() as session:
            ours = text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid = :pid AND usename = :role"
            )
            await session.execute(ours, {"pid": pid, "role": self._login.role})


async def run_as_developer(
    session: AsyncSession, statement: str, *, path: str, longest_wait: str
) -> None:
    """Run one statement of DDL in the request's transaction, with the developer's rights.

    In there nothing that customers wrote can become the control plane. Names are found on `path`,
    which is never the control plane's own: its statements must not meet what customers made.
    """
    connection = await session.connection()
    await connection.exec_driver_sql(
        "SELECT undercroft.as_developer($1, $2, $3)", (statement, path, longest_wait)
    )
