"""Runs a compiled statement as its caller, in one transaction and, where it can, one round trip."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import orjson
from psycopg.pq.abc import PGresult

from undercroft.data.rest.errors import client_failed, from_postgres
from undercroft.data.rest.pool import CLEANING, Foreign, Pool, Session
from undercroft.data.rest.query.sql import Statement
from undercroft.foundation.db import ConnectionLost, StatementFailed, encode

# The caller is entered last, so that nothing before runs with less right than it needs. All of it
# ends with the transaction. Every setting costs microseconds, the search path a look at the
# catalogue too, so what a connection was opened with is not set again. Counting nulls keeps the
# server from sending every value back.
_ENTER = """
select pg_catalog.num_nulls(
    pg_catalog.set_config('request.jwt.claims', $1, true),
    pg_catalog.set_config('request.path', $2, true),
    pg_catalog.set_config('request.headers', $3, true),
    pg_catalog.set_config('transaction_read_only', $4, true),
    pg_catalog.set_config('role', $5, true)
)
"""
_SURROUND = """
select pg_catalog.num_nulls(
    pg_catalog.set_config('search_path', $1, true),
    pg_catalog.set_config('request.method', $2, true),
    pg_catalog.set_config('request.cookies', $3, true)
)
"""
_SETTINGS = """
select pg_catalog.set_config(key, value, true)
from pg_catalog.json_each_text($1::pg_catalog.json)
"""


class RowCountError(Exception):
    """A statement had more or fewer rows than the request allows; nothing was kept."""

    def __init__(self, rows: int) -> None:
        super().__init__(rows)
        self.rows = rows


class Result(NamedTuple):
    """The one row of a statement; see `query.result`. `location` is an array of `key=eq.value`."""

    total: int | None
    page: int
    body: bytes | None
    location: bytes | None = None
    headers: bytes | None = None
    status: bytes | None = None
    inserted: int | None = None


@dataclass(slots=True)
class Job:
    """A statement and the transaction it wants.

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
    least: int | None = None
    most: int | None = None
    rolls_back: bool = False
    explain_count: Statement | None = None
    explain_above: int | None = None
    plan_options: str | None = None
    foreign: Foreign = Foreign.NONE

    @property
    def fits_one_trip(self) -> bool:
        """Whether its transaction is begun, run and committed without a look in between."""
        looks = self.rolls_back or self.explain_count or self.plan_options or self.isolation
        return not looks and (self.read_only or (self.least is None and self.most is None))


class Loan:
    """A session for one transaction; one that is left open is rolled back.

    A class, since a generator for every request costs a twentieth of it.
    """

    __slots__ = ("_foreign", "_pool", "_session")

    def __init__(self, pool: Pool, foreign: Foreign) -> None:
        self._pool = pool
        self._foreign = foreign

    async def __aenter__(self) -> Session:
        self._session = await self._pool.take()
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if isinstance(error, ConnectionLost):
            self._pool.drop(self._session)
            raise client_failed(str(error)) from error
        self._pool.give(self._session, self._foreign)


class Executor:
    """Owns the pools, whose connections are opened with the settings of `session`.

    `pools` are those of roles that the login of `pool` cannot become. With `explicit` every
    transaction has its BEGIN and COMMIT, which a transaction-mode pooler needs to see.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        explicit: bool = False,
        pre_request: str | None = None,
        session: Mapping[str, str] | None = None,
        pools: Mapping[str, Pool] | None = None,
    ) -> None:
        self._pool = pool
        self._pools = pools or {}
        self._explicit = explicit
        self._pre_request = f"SELECT {pre_request}()" if pre_request else None
        session = session or {}
        self._surroundings = (
            session.get("search_path"),
            session.get("request.method"),
            session.get("request.cookies"),
        )

    async def run(self, job: Job, *, anonymous: bool) -> Result:
        """Run the job. Raises RestError for what the database refuses, RowCountError likewise."""
        try:
            async with self.lend(job.role, job.foreign) as session:
                if job.fits_one_trip and not self._explicit:
                    return await self._trip(session, job)
                return await self._transaction(session, job)
        except StatementFailed as error:
            raise from_postgres(error, anonymous=anonymous) from error

    def lend(self, role: str, foreign: Foreign) -> "Loan":
        """Lend a session that may become `role`, for a transaction in which `foreign` code runs.

        A pooler would clean another session than that.
        """
        left = Foreign.NONE if self._explicit else foreign
        return Loan(self._pools.get(role, self._pool), left)

    def enter(self, session: Session, job: Job) -> None:
        """Queue what makes the transaction that of the caller."""
        settings = encode([orjson.dumps(dict(job.settings)).decode()]) if job.settings else None
        surroundings = (job.search_path, job.method, job.cookies)
        surround = encode(surroundings) if surroundings != self._surroundings else None
        read_only = "on" if job.read_only else "off"
        caller = encode((job.claims, job.path, job.headers, read_only, job.role))
        if settings is not None:
            session.queue(_SETTINGS, settings)
        if surround is not None:
            session.queue(_SURROUND, surround)
        session.queue(_ENTER, caller)
        if self._pre_request is not None:
            session.queue(self._pre_request, (), role=job.role)

    async def fetch(self, session: Session, job: Job) -> Result:
        """Send what is queued and the statement with it. What was queued needs no look."""
        values = encode(job.statement.values(job.values))
        if job.plan_options is not None:
            session.pipeline.query(f"explain ({job.plan_options}) {job.statement.sql}", values)
            return _read_plan((await session.sync())[-1])
        session.queue(job.statement.sql, values, role=job.role)
        result = _read_result((await session.sync())[-1])
        if job.explain_count is None or not _wants_estimate(result.total, job.explain_above):
            return result
        counted = encode(job.explain_count.values(job.values))
        session.pipeline.query(f"explain (format json) {job.explain_count.sql}", counted)
        plan = orjson.loads((await session.sync())[-1].get_value(0, 0) or b"")
        return result._replace(total=max(result.total or 0, int(plan[0]["Plan"]["Plan Rows"])))

    async def end(self, session: Session, foreign: Foreign, *, rolls_back: bool) -> None:
        """End a transaction. One that is rolled back has failed where its commit would have."""
        query = session.pipeline.query
        if rolls_back or foreign is not Foreign.NONE:
            query("set constraints all immediate")
        if self._explicit and foreign is not Foreign.NONE:
            for sql in CLEANING:  # behind a pooler the session is somebody else's after that
                query(sql)
        query("rollback" if rolls_back else "commit")
        await session.sync()

    async def _trip(self, session: Session, job: Job) -> Result:
        """Do it all at once: what is sent together is one transaction."""
        values = encode(job.statement.values(job.values))
        self.enter(session, job)
        session.queue(job.statement.sql, values, role=job.role)
        result = _read_result((await session.sync())[-1])
        check_bounds(result.page, job)
        return result

    async def _transaction(self, session: Session, job: Job) -> Result:
        """Do it step by step: to look before the end, or to choose an end."""
        begin = f"begin isolation level {job.isolation}" if job.isolation else "begin"
        session.pipeline.query(begin)
        self.enter(session, job)
        result = await self.fetch(session, job)
        check_bounds(result.page, job)
        await self.end(session, job.foreign, rolls_back=job.rolls_back)
        return result


def check_bounds(rows: int, job: Job) -> None:
    too_few = job.least is not None and rows < job.least
    if too_few or (job.most is not None and rows > job.most):
        raise RowCountError(rows)


def _read_result(answer: PGresult) -> Result:
    value = answer.get_value
    return Result(
        _integer(value(0, 0)),
        _integer(value(0, 1)) or 0,
        value(0, 2),
        value(0, 3),
        value(0, 4),
        value(0, 5),
        _integer(value(0, 6)),
    )


def _integer(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, signed=True)


def _read_plan(answer: PGresult) -> Result:
    lines = (answer.get_value(row, 0) or b"" for row in range(answer.ntuples))
    return Result(None, 1, b"".join(line + b"\n" for line in lines))


def _wants_estimate(counted: int | None, above: int | None) -> bool:
    return counted is None or above is None or counted > above
