"""Runs a script as the developer: one transaction, limited in time, rows and bytes.

The limits that a script could lift for itself (`SET statement_timeout = 0`) are kept here too: when
the time is over, or the client gone, the backend is ended and its transaction with it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from undercroft.data.developer import Developer
from undercroft.data.sql.errors import ParametersInvalid, ResultTooLarge
from undercroft.data.sql.failures import failed, timed_out
from undercroft.data.sql.script import Statement
from undercroft.data.wire import Metered, Portal, TextConnection
from undercroft.foundation.settings import SqlSettings

# Beyond the bytes that an answer may hold: what one batch brings before it is counted.
SLACK_BYTES = 32 * 1024 * 1024
LARGEST_BATCH = 512
# For the server to say by itself that a statement took too long, with its position.
GRACE_SECONDS = 1.0
MOST_NOTICES = 100
FORMATS = {"intervalstyle": "iso_8601", "datestyle": "ISO, YMD", "bytea_output": "hex"}
RELOAD = "NOTIFY pgrst, 'reload schema'"
WATCHED = "SELECT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'undercroft_ddl')"
# Without event triggers (they take a superuser) new tables are closed here.
OPEN_TABLES = """
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND NOT c.relrowsecurity AND c.relpersistence <> 't'
       AND c.relowner = current_user::regrole AND c.oid::bigint > $1::bigint
"""
NEWEST = "SELECT coalesce(max(oid::bigint), 0) FROM pg_class"


@dataclass(frozen=True, slots=True)
class Limits:
    """`rows` per statement; `seconds` and `bytes` for the whole run."""

    seconds: float
    lock_seconds: float
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """What to run and how."""

    query: str
    statements: Sequence[Statement]
    arguments: Sequence[Any]
    limits: Limits
    read_only: bool = False
    keep: bool = True


@dataclass(slots=True)
class Result:
    """What one statement answered. `affected_rows` is None where the command counts none."""

    statement: str
    columns: list[dict[str, str]] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    truncated: bool = False
    command: str = ""
    affected_rows: int | None = None
    milliseconds: float = 0.0


@dataclass(slots=True)
class Outcome:
    results: list[Result] = field(default_factory=list)
    notices: list[dict[str, str]] = field(default_factory=list)
    milliseconds: float = 0.0


def limits_for(settings: SqlSettings, *, timeout: float | None, max_rows: int | None) -> Limits:
    return Limits(
        seconds=timeout or settings.timeout.total_seconds(),
        lock_seconds=settings.lock_timeout.total_seconds(),
        rows=max_rows or settings.max_rows,
        bytes=int(settings.max_bytes),
    )


async def execute(developer: Developer, run: Run) -> Outcome:
    """Run the whole script or nothing of it. Raises `SqlFailed` or `SqlConflict`."""
    milliseconds = str(int(run.limits.seconds * 1000))
    options = FORMATS | {
        "statement_timeout": milliseconds,
        "lock_timeout": str(int(run.limits.lock_seconds * 1000)),
        "idle_in_transaction_session_timeout": milliseconds,
    }
    started = time.perf_counter()
    outcome = Outcome()
    async with developer.session("sql", **options) as connection:
        session = _Session(connection, run, outcome)
        try:
            async with asyncio.timeout(run.limits.seconds + GRACE_SECONDS):
                await session.run()
        except TimeoutError as error:
            raise timed_out(run.query, run.statements, len(outcome.results)) from error
    if not run.read_only:
        await developer.verify()
    outcome.milliseconds = _since(started)
    return outcome


class _Session:
    """One run on its connection."""

    def __init__(self, connection: TextConnection, run: Run, outcome: Outcome) -> None:
        self._connection = connection
        self._run = run
        self._outcome = outcome
        self._meter = Metered(connection, run.limits.bytes + SLACK_BYTES)
        self._bytes_left = run.limits.bytes
        self._closes_tables = False
        connection.add_log_listener(self._noticed)

    async def run(self) -> None:
        alone = self._run.statements[0].stands_alone and len(self._run.statements) == 1
        if alone and self._run.keep and not self._run.read_only:
            await self._attempt(0, self._alone())
            return
        await self._begin()
        for number, statement in enumerate(self._run.statements):
            await self._attempt(number, self._statement(statement))
        await self._attempt(None, self._finish())

    async def _begin(self) -> None:
        if not self._run.read_only:
            self._closes_tables = not await self._connection.fetchval(WATCHED)
            await self._connection.execute("BEGIN")
            return
        await self._connection.execute("BEGIN READ ONLY")
        # Once there is a snapshot, Postgres lets nobody turn the transaction into a writing one.
        await self._connection.execute("SELECT 1")

    async def _finish(self) -> None:
        if not self._run.keep:
            await self._connection.execute("ROLLBACK")
            return
        if any(statement.changes_schema for statement in self._run.statements):
            await self._connection.execute(RELOAD)
        await self._connection.execute("COMMIT")

    async def _attempt(self, number: int | None, work: Any) -> None:
        try:
            await work
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            if self._meter.exceeded:
                raise ResultTooLarge(self._run.limits.bytes + SLACK_BYTES) from error
            if not isinstance(error, asyncpg.PostgresError):
                raise
            if problem := failed(self._run.query, self._run.statements, number, error):
                raise problem from error
            raise

    async def _alone(self) -> None:
        statement = self._run.statements[0]
        started = time.perf_counter()
        command = await self._connection.execute(statement.text)
        await self._connection.execute(RELOAD)
        self._outcome.results.append(
            Result(statement.text, command=command, milliseconds=_since(started))
        )

    async def _statement(self, statement: Statement) -> None:
        started = time.perf_counter()
        newest = await self._newest(statement)
        prepared = await self._connection.prepare(statement.text)
        arguments = self._run.arguments
        _check_arguments(prepared, arguments)
        result = Result(statement.text)
        result.columns = [
            {"name": column.name, "type": _type_name(column.type)}
            for column in prepared.get_attributes()
        ]
        portal = Portal(self._connection, prepared, _fitting(prepared, arguments))
        await self._read(portal, result)
        result.milliseconds = _since(started)
        result.command, result.affected_rows = _read_tag(portal, statement)
        self._outcome.results.append(result)
        if newest is not None:
            await self._close_tables(newest)

    async def _read(self, portal: Portal, result: Result) -> None:
        """Fetch up to the limits; drain what a writing statement still has to tell."""
        if not result.columns:
            await portal.fetch(0)
            return
        limit, batch = self._run.limits.rows, 1
        while portal.tag is None:
            before = self._meter.received
            rows = await portal.fetch(batch)
            self._bytes_left -= self._meter.received - before
            room = limit - len(result.rows)
            if len(rows) > room or self._bytes_left < 0:
                result.truncated = True
                result.rows += rows[:room] if self._bytes_left >= 0 else []
                break
            result.rows += rows
            batch = self._next_batch(len(rows), self._meter.received - before)
        self._meter.limit = self._meter.received + max(self._bytes_left, 0) + SLACK_BYTES
        await self._drain(portal, result)

    def _next_batch(self, rows: int, size: int) -> int:
        average = max(1, size // max(rows, 1))
        return max(1, min(LARGEST_BATCH, self._bytes_left // average))

    async def _drain(self, portal: Portal, result: Result) -> None:
        """A statement that writes has already written all its rows: count them."""
        if portal.tag is not None or not _writes(result.statement):
            return
        while portal.tag is None:
            await portal.fetch(LARGEST_BATCH)
            self._meter.limit = self._meter.received + SLACK_BYTES

    async def _newest(self, statement: Statement) -> int | None:
        if not (self._closes_tables and statement.makes_table):
            return None
        return int(await self._connection.fetchval(NEWEST))

    async def _close_tables(self, newest: int) -> None:
        for row in await self._connection.fetch(OPEN_TABLES, newest):
            await self._connection.execute(f"ALTER TABLE {row[0]} ENABLE ROW LEVEL SECURITY")

    def _noticed(self, _connection: object, message: Any) -> None:
        if len(self._outcome.notices) < MOST_NOTICES:
            self._outcome.notices.append(
                {"severity": message.severity or "NOTICE", "message": str(message.message)}
            )


def _check_arguments(prepared: Any, arguments: Sequence[Any]) -> None:
    wanted = len(prepared.get_parameters())
    if wanted != len(arguments):
        raise ParametersInvalid(f"The statement has {wanted}, the request {len(arguments)}.")


def _fitting(prepared: Any, arguments: Sequence[Any]) -> list[Any]:
    """Lists are arrays where the server wants an array, JSON where it does not."""
    for parameter, value in zip(prepared.get_parameters(), arguments, strict=True):
        if parameter.name.endswith("[]") and not isinstance(value, list | type(None)):
            raise ParametersInvalid("An array is sent as a list.")
    return list(arguments)


def _type_name(kind: Any) -> str:
    return str(kind.name) if kind.schema in {"", "pg_catalog"} else f"{kind.schema}.{kind.name}"


def _writes(statement: str) -> bool:
    return not statement.lstrip("( ").upper().startswith(("SELECT", "VALUES", "TABLE", "SHOW"))


COUNTED = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "COPY"})


def _read_tag(portal: Portal, statement: Statement) -> tuple[str, int | None]:
    """Command and affected rows. A query cut short by its limit has no tag."""
    command, *numbers = (portal.tag or statement.word or "SELECT").split(" ")
    words = [word for word in numbers if not word.isdigit()]
    if command not in COUNTED or not numbers:
        return " ".join([command, *words]), None
    # A portal read in parts tells the rows of its last part.
    return command, portal.count or int(numbers[-1])


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)
