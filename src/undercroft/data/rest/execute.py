"""Runs a compiled statement as its caller, in one transaction and, where it can, one round trip."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import asyncpg
import orjson

from undercroft.data.rest.errors import client_failed, from_postgres
from undercroft.data.rest.pool import Connection, Pool, Session
from undercroft.data.rest.query.sql import Statement

WRONG_ROW_COUNT = "UCROW"
_STATEMENTS_KEPT = 200
_INLINE_LIMIT = 64 * 1024  # larger bodies are bound, not quoted into the text of a statement
_TEMPORARY = "pg_temp"
# At the end of a transaction in which code of others ran: what it may have left in the session.
CLEAN = (
    "set constraints all immediate; select pg_catalog.pg_advisory_unlock_all(); close all;"
    " unlisten *; discard temp; reset all; set role none"
)


class RowCountError(Exception):
    """A statement had more or fewer rows than the request allows; nothing was kept."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.rows = rows


class Result(NamedTuple):
    """The one row of a statement; see `query.result`."""

    total: int | None
    page: int
    body: bytes | None
    location: list[str] | None
    headers: str | None
    status: str | None
    inserted: int | None
    unclean: bool | None = None


class Foreign(Enum):
    """Whether code of others runs in a job, and could put statements of its own under our names."""

    NONE = 0
    FIXED = 1
    DYNAMIC = 2


@dataclass(slots=True)
class Job:
    """A statement and the transaction it wants. `body_slot` is the value that may be large.

    `explain_count` is a query whose estimated rows are wanted, when more than `explain_above` were
    counted; `plan_options` asks for the plan of the statement instead of its result.
    """

    statement: Statement
    values: list[str | None]
    role: str
    claims: str
    method: str
    path: str
    headers: str
    cookies: str
    search_path: str
    read_only: bool = True
    settings: tuple[tuple[str, str], ...] = ()
    isolation: str | None = None
    body_slot: int | None = None
    least: int | None = None
    most: int | None = None
    rolls_back: bool = False
    explain_count: Statement | None = None
    explain_above: int | None = None
    plan_options: str | None = None
    foreign: Foreign = Foreign.NONE

    @property
    def fits_one_call(self) -> bool:
        """Whether one call can do it.

        Not what must set up the transaction before its snapshot, look at a plan, or undo its work.
        """
        return not (self.rolls_back or self.isolation or self.explain_count or self.plan_options)


class Executor:
    """Owns the pools, whose connections are opened with the settings of `session`.

    `pools` are those of roles that the login of `pool` cannot become.

    `function_schema` holds `rest_execute`; None puts it in `pg_temp`. Where even that is refused,
    as on a read replica, requests run as explicit transactions. So they do with `prepared` off: a
    transaction-mode pooler gives every transaction, but not every call outside one, a single
    connection.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        function_schema: str | None = None,
        prepared: bool = True,
        pre_request: str | None = None,
        session: Mapping[str, str] | None = None,
        pools: Mapping[str, Pool] | None = None,
    ) -> None:
        self._pool = pool
        self._pools = pools or {}
        self._schema = function_schema
        self._one_call = prepared
        session = session or {}
        self._search_path = session.get("search_path")
        self._method = session.get("request.method")
        self._cookies = session.get("request.cookies")
        self._pre_request = f"SELECT {pre_request}()" if pre_request else None

    async def run(self, job: Job, *, anonymous: bool) -> Result:
        """Run the job. Raises RestError for what the database refuses, RowCountError likewise."""
        pool = self.pool_of(job.role)
        session = await pool.take()
        try:
            result = await self._run(session, job)
        except asyncpg.PostgresError as error:
            if isinstance(error, asyncpg.InvalidSQLStatementNameError):
                pool.drop(session)  # somebody took our statements away
            else:
                self._give(pool, session, job.foreign)
            if error.sqlstate == WRONG_ROW_COUNT:
                raise RowCountError(int(str(error))) from error
            raise from_postgres(error, anonymous=anonymous) from error
        except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            pool.drop(session)
            raise client_failed(str(error)) from error
        except RowCountError:
            self._give(pool, session, job.foreign)
            raise
        except BaseException:
            pool.cancel(session)  # with a query under way
            raise
        if result.unclean:
            pool.drop(session)
        else:
            self._give(pool, session, Foreign.NONE if job.fits_one_call else job.foreign)
        return result

    def _give(self, pool: Pool, session: Session, foreign: Foreign) -> None:
        # Behind a transaction-mode pooler the next statement would reach another session.
        if foreign is not Foreign.NONE and self._one_call:
            pool.give_cleaned(session, statements=foreign is Foreign.DYNAMIC)
        else:
            pool.give(session)

    def pool_of(self, role: str) -> Pool:
        """The pool whose sessions serve a role: nobody else's can become it."""
        return self._pools.get(role, self._pool)

    async def _run(self, session: Session, job: Job) -> Result:
        if self._one_call:
            await session.limit_time(_statement_timeout(job))
        if job.fits_one_call and self._one_call:
            if session.execute is None:
                await self._prepare_session(session)
            if session.execute is not None:
                return await self._call(session, job)
        return await self._transaction(session.connection, job)

    async def _prepare_session(self, session: Session) -> None:
        schema = self._schema
        if schema is None:
            schema = _TEMPORARY
            try:
                await session.connection.execute(function_sql(_TEMPORARY))
            except (
                asyncpg.ReadOnlySQLTransactionError,
                asyncpg.InsufficientPrivilegeError,
                asyncpg.FeatureNotSupportedError,
            ):
                self._one_call = False
                return
        placeholders = ", ".join(f"${number}" for number in range(1, 19))
        session.execute = await session.connection.prepare(
            f"select * from {schema}.rest_execute({placeholders})"  # noqa: S608 - our own schema
        )

    async def _call(self, session: Session, job: Job) -> Result:
        statement = job.statement
        values = statement.values(job.values)
        name: str | None = None
        definition: str | None = None
        body: str | None = None
        if _is_large(job):
            template, values, body = _with_bound_body(job, values)
        else:
            key = (job.role, statement.prepared)
            name = session.statements.get(key)
            if name is None:
                name = await _new_name(session)
                session.statements[key] = name
                session.unsure.add(name)
            else:
                session.statements.move_to_end(key)
            if name in session.unsure:
                definition = f"prepare {name} as {statement.prepared}"
            template = f"execute {name}{statement.arguments}"
        row = await session.execute.fetchrow(
            None if job.search_path == self._search_path else job.search_path,
            job.claims,
            None if job.method == self._method else job.method,
            job.path,
            job.headers,
            None if job.cookies == self._cookies else job.cookies,
            "on" if job.read_only else "off",
            job.role,
            [part for pair in job.settings for part in pair] or None,
            self._pre_request,
            name,
            definition,
            template,
            values,
            body,
            job.least,
            job.most,
            _known(session, job.foreign),
        )
        if definition is not None and name is not None:
            session.unsure.discard(name)
        if job.foreign is not Foreign.NONE:
            session.timeout = None
        return Result(*row)

    async def _transaction(self, connection: Connection, job: Job) -> Result:
        """Run the job the long way: begin, set up, statement, end."""
        isolation: Any = job.isolation and job.isolation.replace(" ", "_")
        transaction = connection.transaction(isolation=isolation, readonly=job.read_only)
        await transaction.start()
        try:
            texts = await enter(connection, job)
            if self._pre_request is not None:
                await connection.fetch(self._pre_request)
            result = await fetch(connection, job, texts)
            check_bounds(result.page, job)
            if job.rolls_back:
                await connection.execute("set constraints all immediate")
            elif job.foreign is not Foreign.NONE:
                await connection.execute(CLEAN)
        except (asyncpg.PostgresError, RowCountError):
            await transaction.rollback()
            raise
        if job.rolls_back:
            await transaction.rollback()
        else:
            await transaction.commit()
        return result


def function_sql(schema: str) -> str:
    """Return the SQL that creates `rest_execute` in a schema."""
    return _function_template().replace("{schema}", schema)


@cache
def _function_template() -> str:
    source = files("undercroft.data.rest").joinpath("sql", "execute.sql")
    return source.read_text("utf-8")


def _statement_timeout(job: Job) -> str | None:
    return dict(job.settings).get("statement_timeout") if job.settings else None


def _known(session: Session, foreign: Foreign) -> int | None:
    if foreign is Foreign.DYNAMIC:
        return len(session.statements) - len(session.unsure)
    return None if foreign is Foreign.NONE else -1


def _is_large(job: Job) -> bool:
    if job.body_slot is None:
        return False
    body = job.values[job.body_slot]
    return body is not None and len(body) > _INLINE_LIMIT


def _with_bound_body(
    job: Job, values: list[str | None]
) -> tuple[str, list[str | None], str | None]:
    """Make the template use `$1` for the body, and take the body out of the quoted values."""
    template = job.statement.inline
    if job.body_slot is None or not _is_large(job):
        return template, values, None
    place = job.statement.slots.index(job.body_slot)
    bound = template.replace(f"%{place + 1}$L", "$1")
    return bound, [*values[:place], None, *values[place + 1 :]], values[place]


async def _new_name(session: Session) -> str:
    if len(session.statements) >= _STATEMENTS_KEPT:
        _, oldest = session.statements.popitem(last=False)
        session.unsure.discard(oldest)
        with suppress(asyncpg.InvalidSQLStatementNameError):
            await session.connection.execute(f"deallocate {oldest}")
    session.named += 1
    return f"undercroft_{session.named}"


async def enter(connection: Connection, job: Job) -> list[str]:
    """Set everything local to the transaction; in the same trip, quote values into statements."""
    settings = [
        *job.settings,
        ("search_path", job.search_path),
        ("request.jwt.claims", job.claims),
        ("request.method", job.method),
        ("request.path", job.path),
        ("request.headers", job.headers),
        ("request.cookies", job.cookies),
        ("role", job.role),
    ]
    wanted = [job.statement, *([job.explain_count] if job.explain_count else [])]
    arguments: list[Any] = [part for pair in settings for part in pair]
    columns = [
        f"pg_catalog.set_config(${number}, ${number + 1}, true)"
        for number in range(1, len(arguments) + 1, 2)
    ]
    for statement in wanted:
        arguments += [statement.inline, statement.values(job.values)]
        number = len(arguments)
        columns.append(f"pg_catalog.format(${number - 1}, variadic ${number}::text[])")
    row = await connection.fetchrow(f"select {', '.join(columns)}", *arguments)
    assert row is not None
    return list(row.values())[len(settings) :]


async def fetch(connection: Connection, job: Job, texts: Sequence[str]) -> Result:
    if job.plan_options is not None:
        rows = await connection.fetch(f"explain ({job.plan_options}) {texts[0]}")
        plan = "".join(f"{row[0]}\n" for row in rows)
        return Result(None, 1, plan.encode(), None, None, None, None)
    row = await connection.fetchrow(texts[0])
    assert row is not None
    result = Result(*row)
    if job.explain_count is None or not _wants_estimate(result.total, job.explain_above):
        return result
    explained = await connection.fetchval(f"explain (format json) {texts[1]}")
    estimate = int(orjson.loads(explained)[0]["Plan"]["Plan Rows"])
    return result._replace(total=max(result.total or 0, estimate))


def _wants_estimate(counted: int | None, above: int | None) -> bool:
    return counted is None or above is None or counted > above


def check_bounds(rows: int, job: Job) -> None:
    too_few = job.least is not None and rows < job.least
    if too_few or (job.most is not None and rows > job.most):
        raise RowCountError(rows)
