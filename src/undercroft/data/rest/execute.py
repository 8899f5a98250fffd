"""Runs a compiled statement as its caller, in one transaction and, where it can, one round trip."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple, Protocol, TypeVar

import orjson
from psycopg.pq.abc import PGresult

from undercroft.data.rest.errors import RestError, client_failed, from_postgres
from undercroft.data.rest.pool import CLEANING, Foreign, Pool, Session, Step
from undercroft.data.rest.query.sql import Statement
from undercroft.data.rest.sharing import TOGETHER, Pace, Reading, Sharing
from undercroft.foundation.db import ConnectionLost, Receiver, StatementFailed, encode

# The caller is entered last, so that nothing before runs with less right than it needs. All of it
# ends with the transaction. Every setting costs microseconds, the search path a look at the
# catalogue too, so what a connection was opened with is not set again. Counting nulls keeps the
# server from sending every value back.
_ENTER = (
    "",
    """
select pg_catalog.num_nulls(
    pg_catalog.set_config('request.jwt.claims', $1, true),
    pg_catalog.set_config('request.path', $2, true),
    pg_catalog.set_config('request.headers', $3, true),
    pg_catalog.set_config('transaction_read_only', $4, true),
    pg_catalog.set_config('role', $5, true)
)
""",
)
_SURROUND = (
    "",
    """
select pg_catalog.num_nulls(
    pg_catalog.set_config('search_path', $1, true),
    pg_catalog.set_config('request.method', $2, true),
    pg_catalog.set_config('request.cookies', $3, true)
)
""",
)
_SETTINGS = (
    "",
    """
select pg_catalog.set_config(key, value, true)
from pg_catalog.json_each_text($1::pg_catalog.json)
""",
)


Answered = TypeVar("Answered")

# Of a caller's settings: what anybody may send is not to fill the memory.
_REMEMBERED_CHARACTERS = 8192


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
    headers: bytes | None = None
    status: bytes | None = None
    location: bytes | None = None
    inserted: int | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """A statement and the transaction it wants, of whoever has `role`.

    `pace` is that of a read that may share a session. `explain_count` is a query whose estimated
    rows are wanted, when more than `explain_above` were counted; `plan_options` asks for the plan
    of the statement instead of its result.
    """

    statement: Statement
    role: str
    method: str
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
    pace: Pace | None = None

    @property
    def fits_one_trip(self) -> bool:
        """Whether its transaction is begun, run and committed without a look in between."""
        looks = self.rolls_back or self.explain_count or self.plan_options or self.isolation
        return not looks and (self.read_only or (self.least is None and self.most is None))


class Job(NamedTuple):
    """A recipe, and what one request adds to it."""

    recipe: Recipe
    values: list[str | None]
    claims: str
    path: str
    headers: str
    cookies: str

    @property
    def entrance(self) -> tuple[object, ...]:
        """What its transaction is entered with: reads of the same may be one."""
        recipe, _, *caller = self
        return recipe.role, recipe.search_path, recipe.method, recipe.settings, *caller


class Loan:
    """Gives a session back after one transaction; one that is left open is rolled back.

    A class, since a generator for every request costs a twentieth of it.
    """

    __slots__ = ("_foreign", "_pool", "_session")

    def __init__(self, pool: Pool, session: Session, foreign: Foreign) -> None:
        self._pool = pool
        self._session = session
        self._foreign = foreign

    def __enter__(self) -> Session:
        return self._session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: object
    ) -> None:
        if isinstance(error, ConnectionLost):
            self._pool.drop(self._session)
            raise client_failed(str(error)) from error
        self._pool.give(self._session, self._foreign)


class Holder(Receiver, Protocol):
    """Has a session to itself until it leaves."""

    def begin(self, give_back: Callable[[], None]) -> None: ...
    def leave(self) -> None: ...


class Executor:
    """Owns the pools, whose connections are opened with the settings of `session`.

    `pools` are those of roles that the login of `pool` cannot become. With `explicit` every
    transaction has its BEGIN and COMMIT, which a transaction-mode pooler needs to see. Reads share
    a session that are expected to take `together` seconds at most.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        explicit: bool = False,
        pre_request: str | None = None,
        session: Mapping[str, str] | None = None,
        pools: Mapping[str, Pool] | None = None,
        together: float = TOGETHER,
    ) -> None:
        self._pool = pool
        self._pools = pools or {}
        self._explicit = explicit
        self._pre_request = f"SELECT {pre_request}()" if pre_request else None
        self.together = together
        shareable = [] if explicit else [pool, *self._pools.values()]
        self._sharing = {pool: Sharing(pool, self._trip, together) for pool in shareable}
        session = session or {}
        self._surroundings = (
            session.get("search_path"),
            session.get("request.method"),
            session.get("request.cookies"),
        )

    async def run(self, job: Job, *, anonymous: bool) -> Result:
        """Run the job. Raises RestError for what the database refuses, RowCountError likewise."""
        recipe = job.recipe
        try:
            if recipe.pace is not None and self._sharing:
                pool = self._pools.get(recipe.role, self._pool)
                return await self._sharing[pool].run(job, recipe.pace)
            with await self.lend(recipe.role, recipe.foreign) as session:
                if recipe.fits_one_trip and not self._explicit:
                    return await self._trip(session, job)
                return await self._transaction(session, job)
        except StatementFailed as error:
            raise from_postgres(error, anonymous=anonymous) from error
        except ConnectionLost as error:
            raise client_failed(str(error)) from error

    async def run_with(
        self, recipe: Recipe, work: Callable[[Session], Awaitable[Answered]], *, anonymous: bool
    ) -> Answered:
        """Do `work` in the transaction that a recipe wants. Raises as `run` does."""
        try:
            with await self.lend(recipe.role, recipe.foreign) as session:
                return await undone(session, self._within(session, recipe, partial(work, session)))
        except StatementFailed as error:
            raise from_postgres(error, anonymous=anonymous) from error

    @property
    def shares(self) -> bool:
        """Whether quick reads share sessions."""
        return bool(self._sharing)

    def send(self, jobs: Sequence[Job], reading: Reading) -> bool:
        """Send reads of one entrance as one transaction.

        If a session that knows their statements has room for them now.
        """
        sharing = self._sharing[self._pools.get(jobs[0].recipe.role, self._pool)]
        try:
            steps = [*self._entrance(jobs[0]), *map(_statement, jobs)]
        except StatementFailed:
            return False
        shared = sharing.seat(len(jobs), reading.expected)
        if shared is None:
            return False
        reading.begin(sharing, shared)
        try:
            if shared.session.send(steps, reading):
                return True
        except ConnectionLost:
            pass
        reading.end()
        return False

    def send_alone(self, job: Job, holder: Holder) -> bool:
        """Send what fits one trip in a session of its own, if an idle one knows its statements."""
        pool = self._pools.get(job.recipe.role, self._pool)
        try:
            steps = self._steps(job)
        except StatementFailed:
            return False
        session = pool.take_idle()
        if session is None:
            return False
        holder.begin(partial(pool.give, session))
        try:
            if session.send(steps, holder):
                return True
        except ConnectionLost:
            pass
        holder.leave()
        return False

    async def lend(self, role: str, foreign: Foreign) -> Loan:
        """Lend a session that may become `role`, for a transaction in which `foreign` code runs.

        A pooler would clean another session than that.
        """
        pool = self._pools.get(role, self._pool)
        return Loan(pool, await pool.take(), Foreign.NONE if self._explicit else foreign)

    def enter(self, session: Session, job: Job) -> None:
        """Queue what makes the transaction that of the caller."""
        session.queue_all(self._entrance(job))

    def _entrance(self, job: Job) -> list[Step]:
        recipe = job.recipe
        steps: list[Step] = []
        if recipe.settings:
            steps.append((_SETTINGS, encode([orjson.dumps(dict(recipe.settings)).decode()])))
        surroundings = (recipe.search_path, recipe.method, job.cookies)
        if surroundings != self._surroundings:
            steps.append((_SURROUND, encode(surroundings)))
        read_only = "on" if recipe.read_only else "off"
        caller = (job.claims, job.path, job.headers, read_only, recipe.role)
        repeated = len(job.claims) + len(job.path) + len(job.headers) <= _REMEMBERED_CHARACTERS
        steps.append((_ENTER, _encode_repeated(caller) if repeated else encode(caller)))
        if self._pre_request is not None:
            steps.append(((recipe.role, self._pre_request), ()))
        return steps

    def _steps(self, job: Job) -> list[Step]:
        """All of what is one trip, encoded before any of it is queued."""
        return [*self._entrance(job), _statement(job)]

    async def fetch(self, session: Session, job: Job) -> Result:
        """Send what is queued and the statement with it. What was queued needs no look."""
        recipe = job.recipe
        values = encode(recipe.statement.values(job.values))
        if recipe.plan_options is not None:
            explained = f"explain ({recipe.plan_options}) {recipe.statement.sql}"
            session.pipeline.query(explained, values)
            return _read_plan((await session.sync())[-1])
        session.queue(recipe.statement.sql, values, role=recipe.role)
        result = _read_result((await session.sync())[-1])
        count = recipe.explain_count
        if count is None or not _wants_estimate(result.total, recipe.explain_above):
            return result
        counted = encode(count.values(job.values))
        session.pipeline.query(f"explain (format json) {count.sql}", counted)
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
        session.queue_all(self._steps(job))
        return read_result((await session.sync())[-1], job.recipe)

    async def _transaction(self, session: Session, job: Job) -> Result:
        """Do it step by step: to look before the end, or to choose an end."""
        return await self._within(session, job.recipe, partial(self.attempt, session, job))

    async def _within(
        self, session: Session, recipe: Recipe, work: Callable[[], Awaitable[Answered]]
    ) -> Answered:
        begin = f"begin isolation level {recipe.isolation}" if recipe.isolation else "begin"
        session.pipeline.query(begin)
        answered = await work()
        await self.end(session, recipe.foreign, rolls_back=recipe.rolls_back)
        return answered

    async def attempt(self, session: Session, job: Job) -> Result:
        """Do it in a transaction that is open. Raises as `fetch` does, and RowCountError."""
        self.enter(session, job)
        result = await self.fetch(session, job)
        check_bounds(result.page, job.recipe)
        return result


async def undone(session: Session, work: Awaitable[Answered]) -> Answered:
    """Await a transaction. One that is refused has ended before anybody hears of that.

    So that whoever corrects a request and asks again does not find the key of it in use.
    """
    try:
        return await work
    except (RestError, RowCountError, StatementFailed):
        await session.roll_back()
        raise


def _statement(job: Job) -> Step:
    statement = job.recipe.statement
    return (job.recipe.role, statement.sql), encode(statement.values(job.values))


def check_bounds(rows: int, recipe: Recipe) -> None:
    too_few = recipe.least is not None and rows < recipe.least
    if too_few or (recipe.most is not None and rows > recipe.most):
        raise RowCountError(rows)


# What a caller repeats with every request: a fiftieth of the time of a small read.
@lru_cache(maxsize=1024)
def _encode_repeated(values: tuple[str, ...]) -> list[bytes | None]:
    return encode(values)


def read_result(answer: PGresult, recipe: Recipe) -> Result:
    """Read the answer to a statement. Raises RowCountError."""
    result = _read_result(answer)
    check_bounds(result.page, recipe)
    return result


def _read_result(answer: PGresult) -> Result:
    columns = range(answer.nfields)
    total, page, body, headers, status, *of_write = [answer.get_value(0, n) for n in columns]
    result = Result(_integer(total), _integer(page) or 0, body, headers, status)
    if not of_write:
        return result
    location, inserted = (*of_write, None)[:2]
    return result._replace(location=location, inserted=_integer(inserted))


def _integer(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, signed=True)


def _read_plan(answer: PGresult) -> Result:
    lines = (answer.get_value(row, 0) or b"" for row in range(answer.ntuples))
    return Result(None, 1, b"".join(line + b"\n" for line in lines))


def _wants_estimate(counted: int | None, above: int | None) -> bool:
    return counted is None or above is None or counted > above
