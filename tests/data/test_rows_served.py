"""The rows API behind a real server: bytes on a socket, clients that leave."""

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx
import orjson
import pytest_asyncio
import uvicorn

from tests.fixtures.rows import MakeRowsApp, RowsDatabase, make_client
from undercroft.foundation.http.protocol import LeanProtocol


@pytest_asyncio.fixture(scope="module")
async def address(make_rows_app: MakeRowsApp) -> AsyncIterator[str]:
    """Where the rows API is served."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = await make_rows_app()
    config = uvicorn.Config(
        app, http=LeanProtocol, proxy_headers=False, log_level="warning", lifespan="off"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    host, port = listener.getsockname()
    yield f"http://{host}:{port}"
    server.should_exit = True
    await serving


async def test_reads_and_writes(address: str):
    async with httpx.AsyncClient(base_url=address) as client:
        response = await client.get("/readers?id=eq.1")
        assert response.json() == [{"id": 1, "name": "Ada"}]
        assert int(response.headers["content-length"]) == len(response.content)
        response = await client.head("/readers", headers={"Prefer": "count=exact"})
        assert (response.status_code, response.headers["content-range"]) == (200, "0-2/3")
        response = await client.post("/readers", json={"id": 70, "name": "Eve"})
        assert (response.status_code, response.content) == (201, b"")
        response = await client.delete("/readers?id=eq.70")
        assert (response.status_code, response.content) == (204, b"")
        response = await client.get("/readers?id=eq.70")
        assert response.json() == []


async def test_a_body_in_pieces(address: str):
    rows = orjson.dumps([{"id": 71 + number, "name": "x" * 1000} for number in range(100)])

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(rows), 5000):
            yield rows[start : start + 5000]

    async with httpx.AsyncClient(base_url=address) as client:
        response = await client.post(
            "/readers", content=pieces(), headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 201
        response = await client.delete("/readers?id=gt.70", headers={"Prefer": "count=exact"})
        assert response.headers["content-range"] == "*/100"


async def test_concurrent_callers_do_not_mix(address: str):
    async with httpx.AsyncClient(base_url=address) as client:

        async def entries(owner: str) -> list[dict[str, object]]:
            headers = {"Authorization": f"rows_member {owner}"}
            return (await client.get("/diaries", headers=headers)).json()

        owners = ["ada", "ben"] * 20
        for owner, rows in zip(owners, await asyncio.gather(*map(entries, owners)), strict=True):
            assert {row["owner"] for row in rows} <= {owner}


async def test_words_of_a_status(address: str):
    message = '{"code": "c", "message": "m"}'
    detail = '{"status": 419, "status_text": "No\\r\\nThanks", "headers": {}}'
    async with httpx.AsyncClient(base_url=address) as client:
        arguments = {"message": message, "detail": detail}
        response = await client.post("/rpc/raising", json=arguments)
        assert (response.status_code, response.reason_phrase) == (419, "No Thanks")
        response = await client.get("/rpc/fail_with?state=PT999&message=Very odd")
        assert (response.status_code, response.reason_phrase) == (999, "Very odd")
        long = {"state": "PT418", "message": "x" * 100_000}
        response = await client.post("/rpc/fail_with", json=long)
        assert (response.status_code, response.reason_phrase) == (418, "x" * 200)
        assert response.json()["message"] == long["message"]


async def test_a_method_that_no_standard_knows(address: str):
    async with httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/readers?id=eq.1")).status_code == 200
        response = await client.request("OTHER", "/readers", content=b"GET / HTTP/1.1\r\n\r\n")
        assert (response.status_code, response.json()["code"]) == (405, "PGRST117")
        response = await client.request("OTHER", "/rpc/who")
        assert (response.status_code, response.json()["code"]) == (405, "PGRST101")
        assert (await client.get("/readers?id=eq.1")).status_code == 200


async def test_a_client_that_leaves_cancels_its_query(address: str, rows_database: RowsDatabase):
    async with httpx.AsyncClient(base_url=address) as client:
        leaving = asyncio.create_task(client.get("/rpc/nap?seconds=30"))
        await until_asleep(rows_database, 1)
        leaving.cancel()
        await until_asleep(rows_database, 0)
        assert (await client.get("/readers?id=eq.1")).status_code == 200


async def test_a_value_with_a_nul_is_refused_whole(address: str):
    async with httpx.AsyncClient(base_url=address) as client:
        response = await client.get("/readers?name=eq.Ada%00&id=eq.1")
        assert (response.status_code, response.json()["code"]) == (400, "22021")
        assert (await client.get("/readers?id=eq.1")).json() == [{"id": 1, "name": "Ada"}]


async def test_statements_that_fail_are_prepared_once(make_rows_app: MakeRowsApp):
    client = make_client(await make_rows_app(size=1))
    for _ in range(5):
        assert (await client.get("/rpc/fail_with?state=P0001&message=no")).status_code == 400
        assert (await client.get("/readers?id=eq.one")).status_code == 400
    response = await client.get("/rpc/prepared")
    assert response.json() < 10


async def test_statements_that_were_deallocated_are_prepared_again(make_rows_app: MakeRowsApp):
    client = make_client(await make_rows_app(size=1))
    assert (await client.get("/readers?id=eq.1")).status_code == 200
    assert (await client.post("/rpc/forget_all")).status_code == 204
    refused = await client.get("/readers?id=eq.1")
    assert refused.status_code == 503
    assert "undercroft_" not in refused.text  # the name of a statement
    assert (await client.get("/readers?id=eq.1")).status_code == 200
    raised = await client.get("/rpc/fail_with?state=26000&message=no")
    assert (raised.status_code, raised.json()["code"]) == (400, "26000")


async def test_a_connection_that_the_server_ended_is_replaced(
    make_rows_app: MakeRowsApp, rows_database: RowsDatabase
):
    client = make_client(await make_rows_app(size=1))
    assert (await client.get("/readers?id=eq.1")).status_code == 200
    await rows_database.run(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where usename = 'rows_login' and datname = current_database()"
    )
    async with asyncio.timeout(30):
        while (await client.get("/readers?id=eq.1")).status_code != 200:
            pass


async def until_asleep(database: RowsDatabase, wanted: int) -> None:
    asleep = (
        "select count(*) from pg_stat_activity"
        " where wait_event = 'PgSleep' and datname = current_database()"
    )
    async with asyncio.timeout(30):
        while await database.run(asleep) != wanted:  # noqa: ASYNC110 - another process sleeps
            await asyncio.sleep(0.05)
