"""Sessions of the rows API and their pool: trips fail, waiting ends, servers talk nonsense."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio

from tests.fixtures.rows import MakeRowsApp, RowsDatabase, make_client
from undercroft.data.rest import Caller, Pool
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.pool import Foreign, Session
from undercroft.data.rest.request import Head, HttpRequest
from undercroft.foundation.db import StatementFailed

PREPARED = "select count(*) from pg_prepared_statements"
KEPT = 200


@pytest_asyncio.fixture
async def session(rows_database: RowsDatabase) -> AsyncIterator[Session]:
    opened = Session(await rows_database.open())
    yield opened
    opened.pipeline.close()


async def ask(session: Session, sql: str) -> str:
    session.pipeline.query(sql)
    return ((await session.sync())[-1].get_value(0, 0) or b"").decode()


@pytest.mark.parametrize("foreign", [Foreign.FIXED, Foreign.DYNAMIC])
async def test_what_code_of_others_left_is_cleaned(session: Session, foreign: Foreign):
    session.queue("select 'ours'::text", ())
    await session.sync()
    found = "select current_setting('search_path') || current_user || current_setting('timezone')"
    before = await ask(session, found)
    for left in (
        "select set_config('search_path', 'nowhere', false)",
        "set timezone = 'Asia/Tokyo'",
        "select pg_advisory_lock(4711)",
        "create temp table books (id int)",
        "listen everything",
        "set role rows_member",
    ):
        session.pipeline.query(left)
        await session.sync()
    await session.clean(foreign)
    assert await ask(session, found) == before
    held = "select count(*)::text from pg_locks where locktype = 'advisory' and objid = 4711"
    assert await ask(session, held) == "0"
    assert (
        await ask(session, "select coalesce(to_regclass('pg_temp.books')::text, 'none')") == "none"
    )
    assert await ask(session, "select count(*)::text from pg_listening_channels()") == "0"
    session.queue("select 'ours'::text", ())
    assert (await session.sync())[-1].get_value(0, 0) == b"ours"


async def test_a_session_whose_statements_were_exchanged_is_given_up(session: Session):
    session.queue("select 'ours'::text", ())
    await session.sync()
    name = await ask(session, "select name::text from pg_prepared_statements limit 1")
    for sql in (f"deallocate {name}", f"prepare {name} as select 'theirs'::text"):
        session.pipeline.query(sql)
        await session.sync()
    await session.clean(Foreign.DYNAMIC)
    assert session.pipeline.closed


async def test_nobody_can_guess_the_names_of_statements(rows_database: RowsDatabase):
    names = []
    for _ in range(2):
        session = Session(await rows_database.open())
        session.queue("select 'ours'::text", ())
        await session.sync()
        names.append(await ask(session, "select name::text from pg_prepared_statements"))
        session.pipeline.close()
    assert names[0] != names[1]


async def count_prepared(session: Session) -> int:
    session.pipeline.query(PREPARED)
    return int.from_bytes((await session.sync())[-1].get_value(0, 0) or b"")


async def test_a_trip_that_fails_first_forgets_no_statement_for_good(session: Session):
    for number in range(KEPT):
        session.queue(f"select {number}", ())
    await session.sync()
    for number in range(5):
        session.pipeline.query("select 1 / 0")
        session.queue(f"select 'new', {number}", ())
        with pytest.raises(StatementFailed):
            await session.sync()
    session.queue("select 0", ())  # would have been the first to be forgotten
    await session.sync()
    session.queue("select 'newest'", ())
    await session.sync()
    assert await count_prepared(session) == KEPT


async def test_whoever_leaves_with_a_failure_on_its_way_leaves_no_wrong_names(session: Session):
    session.queue("select 1 from nowhere", ())
    waiting = asyncio.create_task(session.sync())
    await asyncio.sleep(0)
    while session.pipeline.busy:  # noqa: ASYNC110 - the moment before the task wakes up
        await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    session.queue("select 1 from nowhere", ())
    with pytest.raises(StatementFailed) as failure:
        await session.sync()
    assert failure.value.sqlstate == "42P01"


async def test_waiting_that_ends_as_a_session_comes_back_loses_no_place(
    rows_database: RowsDatabase,
):
    for moment in range(40):
        pool = Pool(rows_database.open, size=1, acquire_timeout=0.02)
        session = await pool.take()
        waiting = asyncio.create_task(pool.take())
        asyncio.get_running_loop().call_later(0.0195 + moment / 40_000, pool.give, session)
        with suppress(RestError):  # it waited too long
            pool.give(await waiting)
        while pool.available < 1:  # noqa: ASYNC110 - it was given back later
            await asyncio.sleep(0.001)
        await pool.close()


async def test_a_session_that_ended_on_its_way_is_opened_again(rows_database: RowsDatabase):
    pool = Pool(rows_database.open, size=1)
    session = await pool.take()
    waiting = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    pool.give(session)
    session.pipeline.close()
    taken = await waiting
    assert not taken.pipeline.closed
    pool.give(taken)
    assert pool.available == 1
    await pool.close()


@pytest.mark.parametrize(
    "path",
    [
        "/readers?select=a%00b:name",
        "/readers?select=name%00",
        "/readers?na%00me=eq.1",
        "/readers?order=name%00.asc",
        "/readers?select=name::te%00xt",
        "/readers?%ED%A0%80=eq.1",
        "/readers?select=%ED%A0%80:name",
        "/readers?name=eq.%ED%A0%80",
        "/readers?name=eq.%FF",
        "/readers?%FF=eq.1",
        "/na%00me",
        "/rpc/fa%00st",
    ],
)
async def test_names_that_no_server_could_hold(make_rows_app: MakeRowsApp, path: str):
    client = make_client(await make_rows_app(size=1))
    assert (await client.get(path)).status_code in (200, 400, 404)
    assert (await client.get("/readers?id=eq.1")).json() == [{"id": 1, "name": "Ada"}]


async def test_more_values_than_the_protocol_counts(make_rows_app: MakeRowsApp):
    app = await make_rows_app(size=1)
    query = b"&".join([b"id=eq.1"] * 65_536)
    request = HttpRequest("GET", "/readers", query, Head({}))
    with pytest.raises(RestError) as refused:
        await app.answer(request, nobody_leaves, Caller("rows_anon", "{}"))
    assert (refused.value.status, refused.value.code) == (400, "22023")


async def test_no_free_connection(rows_database: RowsDatabase):
    pool = Pool(rows_database.open, size=1, acquire_timeout=0.1)
    taken = await pool.take()
    with pytest.raises(RestError) as refused:
        await pool.take()
    pool.give(taken)
    assert (refused.value.status, refused.value.code) == (504, "PGRST003")
    await pool.close()


async def test_who_waits_gets_a_connection_in_turn(rows_database: RowsDatabase):
    pool = Pool(rows_database.open, size=1)
    taken = await pool.take()
    turns: list[int] = []

    async def take(number: int) -> None:
        session = await pool.take()
        turns.append(number)
        pool.give(session)

    waiting = [asyncio.create_task(take(number)) for number in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    pool.give(taken)
    newcomer = asyncio.create_task(take(3))
    await asyncio.gather(*waiting, newcomer, return_exceptions=True)
    assert turns == [0, 2, 3]
    assert pool.available == 1
    await pool.close()


async def test_a_lost_connection_lets_who_waits_open_another(rows_database: RowsDatabase):
    pool = Pool(rows_database.open, size=1)
    taken = await pool.take()
    waiting = asyncio.create_task(pool.take())
    await asyncio.sleep(0)
    pool.drop(taken)
    pool.give(await waiting)
    assert pool.available == 1
    await pool.close()


async def nobody_leaves() -> dict[str, object]:
    await asyncio.Event().wait()
    raise AssertionError
