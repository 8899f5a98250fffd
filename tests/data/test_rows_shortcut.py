"""Which reads take the shortcut, and what becomes of those that cannot end well on it.

That its answers are those of the ordinary way is shown by every test that reads by `make_client`.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from tests.data.test_rows_sharing import locked, until_waiting
from tests.fixtures.rows import CONFIG, MakeRowsApp, Reply, RowsDatabase, make_client
from undercroft.data.rest import RestApp
from undercroft.data.rest.request import read_head, read_http
from undercroft.data.schema.model import QualifiedName

READER, ADA = "/readers?id=eq.{}", b'[{"id":1,"name":"Ada"}]'
OBJECT = ("accept", "application/vnd.pgrst.object+json")


@pytest_asyncio.fixture
async def app(make_rows_app: MakeRowsApp) -> AsyncIterator[RestApp]:
    """It knows how to read a reader, as a list and as an object."""
    app = await make_rows_app(size=2, together=60)
    async with make_client(app) as client:
        for headers in ({}, dict([OBJECT])):
            assert (await client.get(READER.format(1), headers=headers)).status_code == 200
    yield app


def ask(app: RestApp, target: str, *headers: tuple[str, str], method: str = "GET") -> Any:
    """What is under way, if anything, and where the answer goes."""
    path, _, query = target.partition("?")
    sent = [("host", "rows.test"), ("accept", "*/*"), *headers]
    scope = {
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in dict(sent).items()],
    }
    reply = Reply()
    return app.shortcut(scope, reply), reply


async def test_a_known_read_is_answered(app: RestApp):
    underway, reply = ask(app, READER.format(1))
    assert underway
    status, headers, body = await reply.answered
    assert (status, body) == (200, ADA)
    assert dict(headers)[b"content-length"] == b"%d" % len(ADA)


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("/readers?name=eq.Ada", {}),
        (READER.format(1), {"method": "HEAD"}),
        (READER.format(1), {"method": "DELETE"}),
        ("/rpc/nothing", {}),
        ("/", {}),
    ],
)
async def test_whatever_is_not_known_is_left_alone(
    app: RestApp, target: str, options: dict[str, str]
):
    underway, _ = ask(app, target, **options)
    assert underway is None


async def test_a_refusal_is_worded_on_the_ordinary_way(app: RestApp):
    for value in ("one", "%00", "9" * 40):
        _, reply = ask(app, READER.format(value))
        assert await reply.answered is None


async def test_one_row_that_is_none_is_refused_on_the_ordinary_way(app: RestApp):
    _, reply = ask(app, READER.format(1), OBJECT)
    assert (await reply.answered)[2] == ADA.strip(b"[]")
    _, reply = ask(app, READER.format(1000), OBJECT)
    assert await reply.answered is None


class TestTheLastWordOfTheDatabase:
    @pytest_asyncio.fixture
    async def app(self, make_rows_app: MakeRowsApp) -> AsyncIterator[RestApp]:
        config = replace(CONFIG, pre_request=QualifiedName("hooks", "last_word"))
        app = await make_rows_app(config, together=60)
        async with make_client(app) as client:
            assert (await client.get(READER.format(1))).status_code == 200
        yield app

    @pytest.mark.parametrize("status", ["204", "304", "401", "403", "503"])
    async def test_another_status_is_sent_on_the_ordinary_way(self, app: RestApp, status: str):
        _, reply = ask(app, READER.format(1), ("x-status", status))
        assert await reply.answered is None

    async def test_it_does_not_say_where_the_body_ends(self, app: RestApp):
        said = '[{"X-Said": "1"}, {"Content-Length": "1"}, {"Transfer-Encoding": "chunked"}]'
        _, reply = ask(app, READER.format(1), ("x-headers", said))
        headers = (await reply.answered)[1]
        assert (b"x-said", b"1") in headers
        framing = [pair for pair in headers if pair[0] in (b"content-length", b"transfer-encoding")]
        assert framing == [(b"content-length", b"%d" % len(ADA))]


async def test_who_finds_no_room_starts_over(app: RestApp):
    replies = [ask(app, READER.format(1000 + number))[1] for number in range(40)]
    answers = await asyncio.gather(*(reply.answered for reply in replies))
    answered = [answer for answer in answers if answer]
    assert {body for _, _, body in answered} == {b"[]"}
    assert 8 <= len(answered) < len(answers)


class TestTheSameAskedTogether:
    async def test_is_read_once(self, app: RestApp):
        replies = [ask(app, READER.format(1))[1] for _ in range(40)]  # more than there is room for
        answers = await asyncio.gather(*(reply.answered for reply in replies))
        assert {answer and answer[2] for answer in answers} == {ADA}

    async def test_who_waits_for_it_is_answered_when_who_asked_first_leaves(
        self, app: RestApp, rows_database: RowsDatabase
    ):
        async with locked(rows_database, "library.readers"):
            asked = [ask(app, READER.format(1)) for _ in range(3)]
            await until_waiting(rows_database, 1)
            for underway, _ in asked[:2]:
                underway.leave()
        assert (await asked[2][1].answered)[2] == ADA
        assert not any(reply.answered.done() for _, reply in asked[:2])

    @pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
    async def test_ends_when_all_have_left(
        self, app: RestApp, rows_database: RowsDatabase, order: tuple[int, ...]
    ):
        async with locked(rows_database, "library.readers"):
            asked = [ask(app, READER.format(1)) for _ in range(3)]
            await until_waiting(rows_database, 1)
            for place in order:
                asked[place][0].leave()
            await until_waiting(rows_database, 0)

    async def test_is_refused_each(self, app: RestApp):
        replies = [ask(app, READER.format("one"))[1] for _ in range(3)]
        assert [await reply.answered for reply in replies] == [None] * 3

    async def test_by_others_is_theirs(self, app: RestApp):
        """Whose diary it is decides what is in it."""
        async with make_client(app) as client:
            for who in ("ada", "ben"):
                headers = {"authorization": f"rows_member {who}"}
                assert (await client.get("/diaries", headers=headers)).status_code == 200
        asked = [
            ask(app, "/diaries", ("authorization", f"rows_member {who}"))[1]
            for who in ("ada", "ben", "ada", "nobody")
        ]
        ada, ben, again, nobody = [(await reply.answered)[2] for reply in asked]
        assert (ada, nobody) == (again, b"[]")
        assert ada != ben


class TestDifferentReadsOfOneCaller:
    """They are one transaction if they came in together."""

    async def test_are_answered_each(self, app: RestApp):
        replies = [ask(app, READER.format(number))[1] for number in (1, 1000, 2, 1)]
        bodies = [(await reply.answered)[2] for reply in replies]
        assert (bodies[0], bodies[1], bodies[3]) == (ADA, b"[]", ADA)
        assert b'"id":2' in bodies[2]

    async def test_start_over_with_one_that_fails(self, app: RestApp):
        replies = [ask(app, READER.format(number))[1] for number in (1, "one", 2)]
        assert [await reply.answered for reply in replies] == [None] * 3
        assert (await ask(app, READER.format(1))[1].answered)[2] == ADA

    async def test_start_over_with_one_that_is_held_up(
        self, app: RestApp, rows_database: RowsDatabase
    ):
        async with locked(rows_database, "library.readers"):
            replies = [ask(app, READER.format(number))[1] for number in (1, 2)]
            assert [await reply.answered for reply in replies] == [None] * 2
            await until_waiting(rows_database, 0)

    @pytest.mark.parametrize("staying", [0, 1])
    async def test_end_when_all_have_left(
        self, app: RestApp, rows_database: RowsDatabase, staying: int
    ):
        async with locked(rows_database, "library.readers"):
            asked = [ask(app, READER.format(number)) for number in (1, 2)]
            await until_waiting(rows_database, 1)
            asked[1 - staying][0].leave()
            await until_waiting(rows_database, 1)
            asked[staying][0].leave()
            await until_waiting(rows_database, 0)

    async def test_are_alone_once_code_has_set_headers(self, make_rows_app: MakeRowsApp):
        """A transaction keeps what is set in it, and the next one must not say it."""
        config = replace(CONFIG, pre_request=QualifiedName("hooks", "last_word"))
        app = await make_rows_app(config, size=2, together=60)
        async with make_client(app) as client:
            assert (await client.get(READER.format(1))).status_code == 200
        says = ("x-headers", '[{"X-Said": "1"}]')
        for answered in (False, True):
            replies = [ask(app, READER.format(number), says)[1] for number in (1, 2)]
            answers = [await reply.answered for reply in replies]
            assert [answer is not None for answer in answers] == [answered] * 2
        assert all((b"x-said", b"1") in answer[1] for answer in answers)


async def test_who_leaves_a_read_that_is_held_up_ends_it(app: RestApp, rows_database: RowsDatabase):
    async with locked(rows_database, "library.readers"):
        underway, reply = ask(app, READER.format(1))
        await until_waiting(rows_database, 1)
        underway.leave()
        await until_waiting(rows_database, 0)
    assert not reply.answered.done()


async def test_reads_behind_one_that_is_held_up_start_over(
    app: RestApp, rows_database: RowsDatabase
):
    async with locked(rows_database, "library.readers"):
        _, held = ask(app, READER.format(1))
        await until_waiting(rows_database, 1)
        _, behind = ask(app, READER.format(2))
        assert await behind.answered is None
        await until_waiting(rows_database, 1)
    assert (await held.answered)[2] == ADA


async def test_a_connection_that_ends(app: RestApp, rows_database: RowsDatabase):
    async with locked(rows_database, "library.readers"):
        _, reply = ask(app, READER.format(1))
        await until_waiting(rows_database, 1)
        await rows_database.run(
            "select count(pg_terminate_backend(pid)) from pg_locks"
            " where not granted and relation = 'library.readers'::regclass"
        )
        assert await reply.answered is None


def test_large_heads_are_not_remembered():
    """Anybody may send them, as many as they like."""
    before = read_head.cache_info().currsize
    for size in (10, 5000):
        headers = [(b"x-odd", b"%d" % size + b"x" * size)]
        scope = {"method": "GET", "path": "/", "query_string": b"", "headers": headers}
        assert read_http(scope, "").headers["x-odd"].endswith("x" * size)
    assert read_head.cache_info().currsize == before + 1
