"""What writes by the shortcut: it answers as the ordinary way does, and nothing is done twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.data.test_rows_sharing import locked, until_waiting
from tests.fixtures.rows import CONFIG, BothWays, MakeRowsApp, Reply, RowsDatabase, make_client
from undercroft.data.rest import RestApp, TransactionEnd
from undercroft.data.rest.quick import OUTCOME
from undercroft.data.schema.model import QualifiedName
from undercroft.foundation.db import Pipeline

DORA = b'{"id": 40, "name": "Dora"}'
FULL, MINIMAL = ("prefer", "return=representation"), ("prefer", "return=minimal")
HEADERS_ONLY = ("prefer", "return=headers-only")
COUNTED = ("prefer", "return=representation, count=exact")
OBJECT = ("accept", "application/vnd.pgrst.object+json")
CSV = ("accept", "text/csv")
TYPE = ("content-type", "application/json")


@pytest_asyncio.fixture(autouse=True)
async def _put_back(rows_database: RowsDatabase) -> AsyncIterator[None]:
    yield
    await rows_database.run("delete from library.readers where id >= 40")


async def ordinary(app: RestApp, method: str, target: str, *headers: Any, body: bytes = b"") -> Any:
    async with make_client(app, httpx.ASGITransport) as client:
        answer = await client.request(method, target, content=body, headers=dict([TYPE, *headers]))
    return answer.status_code, answer.headers.raw, answer.content


def ask(app: RestApp, method: str, target: str, *headers: Any, body: bytes = b"") -> Any:
    """What is under way, if anything, where the answer goes, and what the scope will say."""
    path, _, query = target.partition("?")
    sent = {"host": "rows.test", "accept": "*/*"} | dict([TYPE, *headers])
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    reply = Reply(body)
    return app.shortcut(scope, reply), reply, scope


async def told(app: RestApp, scope: Any) -> int:
    """The status that the ordinary way tells of what was done."""
    return (await BothWays(app)._told(scope))[0]  # type: ignore[no-any-return]


async def clear(database: RowsDatabase) -> None:
    await database.run("delete from library.readers where id >= 40")


async def count(database: RowsDatabase) -> int:
    return await database.run("select count(*) from library.readers where id >= 40")  # type: ignore[no-any-return]


@pytest.mark.parametrize("headers", [(), (FULL,), (MINIMAL,), (HEADERS_ONLY,), (COUNTED,), (CSV,)])
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("POST", "/readers", DORA),
        ("POST", "/readers?select=name", b"[%b]" % DORA),
        ("POST", "/readers?on_conflict=id", DORA),
        ("PATCH", "/readers?id=eq.1", b'{"name": "Ada"}'),
        ("PATCH", "/readers?id=eq.1000", b'{"name": "Ada"}'),
        ("DELETE", "/readers?id=eq.40", b""),
    ],
)
async def test_answers_are_those_of_the_ordinary_way(
    make_rows_app: MakeRowsApp,
    rows_database: RowsDatabase,
    method: str,
    target: str,
    body: bytes,
    headers: tuple[tuple[str, str], ...],
):
    app = await make_rows_app(size=1)
    if "on_conflict" in target:
        headers = (("prefer", "resolution=merge-duplicates"),)
    expected = await ordinary(app, method, target, *headers, body=body)
    await clear(rows_database)
    underway, reply, _ = ask(app, method, target, *headers, body=body)
    assert underway
    assert await reply.answered == expected
    assert await count(rows_database) == (method == "POST")


async def test_other_values_of_the_same_shape(
    make_rows_app: MakeRowsApp, rows_database: RowsDatabase
):
    app = await make_rows_app(size=1)
    await ordinary(app, "POST", "/readers", body=DORA)
    _, reply, _ = ask(app, "POST", "/readers", body=DORA.replace(b"40", b"41"))
    assert (await reply.answered)[0] == 201
    assert await count(rows_database) == 2


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((OBJECT, FULL), DORA),  # there may be more rows than one, and then nothing is kept
        ((("prefer", "tx=rollback"),), DORA),
        ((), b"{"),
        ((), b'{"id": 40, "other": 1}'),
        ((), b'{"id": 40, "name": "%b"}' % (b"x" * 70_000)),
    ],
)
async def test_what_has_to_be_looked_at_is_left_alone(
    make_rows_app: MakeRowsApp, headers: tuple[tuple[str, str], ...], body: bytes
):
    app = await make_rows_app(replace(CONFIG, tx_end=TransactionEnd.COMMIT_ALLOW_OVERRIDE), size=1)
    await ordinary(app, "POST", "/readers", *headers, body=DORA)
    assert ask(app, "POST", "/readers", *headers, body=body)[0] is None


async def test_a_body_over_the_limit_is_left_alone(make_rows_app: MakeRowsApp):
    app = await make_rows_app(replace(CONFIG, max_body_bytes=len(DORA)), size=1)
    await ordinary(app, "POST", "/readers", body=DORA)
    assert ask(app, "POST", "/readers", body=DORA)[0]
    assert ask(app, "POST", "/readers", body=DORA + b" ")[0] is None


async def test_what_the_database_refuses_is_worded_on_the_ordinary_way(
    make_rows_app: MakeRowsApp, rows_database: RowsDatabase
):
    app = await make_rows_app(size=1)
    await ordinary(app, "POST", "/readers", body=DORA)
    _, reply, scope = ask(app, "POST", "/readers", body=DORA)
    assert await reply.answered is None
    assert (await ordinary(app, "POST", "/readers", body=DORA))[0] == 409
    assert await count(rows_database) == 1
    assert OUTCOME not in scope  # it was not done


async def test_no_session_is_free(make_rows_app: MakeRowsApp, rows_database: RowsDatabase):
    app = await make_rows_app(size=1)
    await ordinary(app, "POST", "/readers", body=DORA)
    asked = [
        ask(app, "POST", "/readers", body=DORA.replace(b"40", b"%d" % number))
        for number in (41, 42)
    ]
    assert [underway is not None for underway, _, _ in asked] == [True, False]
    assert (await asked[0][1].answered)[0] == 201
    assert await count(rows_database) == 2


class TestTheLastWordOfTheDatabase:
    @pytest_asyncio.fixture
    async def app(self, make_rows_app: MakeRowsApp) -> RestApp:
        app = await make_rows_app(
            replace(CONFIG, pre_request=QualifiedName("hooks", "last_word")), size=1
        )
        await ordinary(app, "POST", "/readers", body=DORA)
        return app

    @pytest.mark.parametrize("status", ["200", "204", "401", "503", "nonsense"])
    async def test_is_told_on_the_ordinary_way_and_nothing_is_done_twice(
        self, app: RestApp, rows_database: RowsDatabase, status: str
    ):
        sent = DORA.replace(b"40", b"41")
        _, reply, scope = ask(app, "POST", "/readers", ("x-status", status), body=sent)
        assert await reply.answered is None
        assert await told(app, scope) == (int(status) if status.isdigit() else 500)
        assert await count(rows_database) == 2


async def test_it_starts_over_when_the_server_ends_it(
    make_rows_app: MakeRowsApp, rows_database: RowsDatabase
):
    app = await make_rows_app(size=1)
    await ordinary(app, "POST", "/readers", body=DORA)
    sent = DORA.replace(b"40", b"41")
    async with locked(rows_database, "library.readers"):
        _, reply, scope = ask(app, "POST", "/readers", body=sent)
        await until_waiting(rows_database, 1)
        await rows_database.run(
            "select count(pg_terminate_backend(pid)) from pg_locks"
            " where not granted and relation = 'library.readers'::regclass"
        )
        assert await reply.answered is None
    assert OUTCOME not in scope
    assert (await ordinary(app, "POST", "/readers", body=sent))[0] == 201


async def test_nobody_knows_what_became_of_it_when_the_connection_is_lost(
    make_rows_app: MakeRowsApp, rows_database: RowsDatabase
):
    opened = []

    async def connect() -> Pipeline:
        opened.append(await rows_database.open())
        return opened[-1]

    app = await make_rows_app(size=1, connect=connect)
    await ordinary(app, "POST", "/readers", body=DORA)
    async with locked(rows_database, "library.readers"):
        _, reply, scope = ask(app, "POST", "/readers", body=DORA.replace(b"40", b"41"))
        await until_waiting(rows_database, 1)
        opened[0].close()
        assert await reply.answered is None
    assert await told(app, scope) == 503
    assert (await ordinary(app, "GET", "/readers?id=eq.1"))[0] == 200


async def test_who_leaves_ends_what_is_held_up(
    make_rows_app: MakeRowsApp, rows_database: RowsDatabase
):
    app = await make_rows_app(size=1)
    await ordinary(app, "POST", "/readers", body=DORA)
    async with locked(rows_database, "library.readers"):
        underway, reply, _ = ask(app, "POST", "/readers", body=DORA.replace(b"40", b"41"))
        await until_waiting(rows_database, 1)
        underway.leave()
        await until_waiting(rows_database, 0)
    assert not reply.answered.done()
    assert await count(rows_database) == 1
    assert (await ordinary(app, "GET", "/readers?id=eq.1"))[0] == 200


async def test_many_at_once_are_each_done_once(
    make_rows_app: MakeRowsApp, rows_database: RowsDatabase
):
    app = await make_rows_app(size=4)
    async with make_client(app) as client:

        async def write(number: int) -> int:
            body = {"id": number, "name": "one of many"}
            return (await client.post("/readers", json=body)).status_code

        assert await write(100) == 201
        answers = await asyncio.gather(*(write(number) for number in (*range(101, 141), 100, 101)))
    assert sorted(answers) == [201] * 40 + [409] * 2
    assert await count(rows_database) == 41
