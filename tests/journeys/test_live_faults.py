"""Whatever is killed meanwhile, a client that comes back with its cursor has what is there."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from tests.fixtures.served import Served, runs, serving, wait_until
from tests.journeys.test_faults import LIMITS_OFF, caller, service_key

TABLE = {
    "name": "things",
    "columns": [
        {"name": "id", "type": "integer", "primary_key": True},
        {"name": "owner", "type": "text"},
        {"name": "value", "type": "integer"},
    ],
}
LOST = (OSError, WebSocketException, TimeoutError, httpx.TransportError)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "home", "--workers", "2", **LIMITS_OFF) as served:
        yield served


class Follower:
    """Keeps a copy of the rows from what its socket brings, as an application would."""

    def __init__(self, served: Served, key: str) -> None:
        self.rows: dict[int, dict[str, Any]] = {}
        self.resyncs = 0
        self.sockets = 0
        self.served = served  # may become another node
        self._key = key
        self._cursor: str | None = None

    async def follow(self) -> None:
        while True:
            with suppress(*LOST):
                await self._session()
            await asyncio.sleep(0.1)

    async def _session(self) -> None:
        address = self.served.url.replace("http", "ws")
        url = f"{address}/realtime/v1/websocket?apikey={self._key}"
        async with connect(url, open_timeout=5, max_size=None) as socket:
            self.sockets += 1
            beating = asyncio.create_task(_beat(socket))
            try:
                await self._join(socket)
                async for text in socket:
                    await self._hear(json.loads(text))
            finally:
                beating.cancel()

    async def _join(self, socket: ClientConnection) -> None:
        wish = {"event": "*", "schema": "public", "table": "things"}
        if self._cursor:
            wish["since"] = self._cursor
        payload = {"config": {"postgres_changes": [wish]}}
        message = {"topic": "realtime:t", "event": "phx_join", "payload": payload, "ref": "1"}
        await socket.send(json.dumps(message))

    async def _hear(self, message: dict[str, Any]) -> None:
        payload = message["payload"]
        if message["event"] == "postgres_changes":
            change = payload["data"]
            if change["type"] == "DELETE":
                self.rows.pop(change["old_record"]["id"], None)
            else:
                self.rows[change["record"]["id"]] = change["record"]
            assert self._cursor is None or change["cursor"] > self._cursor
            self._cursor = change["cursor"]
        elif message["event"] == "phx_error" or payload.get("status") == "error":
            raise OSError(str(payload))
        elif message["event"] == "system" and (payload.get("resync") or self._cursor is None):
            self.rows = {row["id"]: row for row in await self._fetch()}
            self._cursor = payload["cursor"]
            self.resyncs += 1

    async def _fetch(self) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(base_url=self.served.url, timeout=10) as client:
            bearer = {"Authorization": f"Bearer {self._key}"}
            answer = await client.get("/rest/v1/things", headers=bearer)
            if answer.status_code != 200:
                raise OSError(answer.text)
            return list(answer.json())


async def _beat(socket: ClientConnection) -> None:
    for number in itertools.count(100):
        message = {"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": str(number)}
        await socket.send(json.dumps(message))
        await asyncio.sleep(5)


class Writer:
    """Changes rows at random; what fails is tried no more."""

    def __init__(self, served: Served, key: str, seed: int) -> None:
        self.done = 0
        self.stopping = False
        self._random = random.Random(seed)
        self._served = served
        self._key = key

    async def write(self) -> None:
        headers = {"Authorization": f"Bearer {self._key}"}
        async with httpx.AsyncClient(
            base_url=self._served.url, headers=headers, timeout=10
        ) as client:
            while not self.stopping:
                with suppress(httpx.TransportError):
                    answer = await self._change(client)
                    self.done += answer.status_code < 300
                await asyncio.sleep(0.003)

    async def _change(self, client: httpx.AsyncClient) -> httpx.Response:
        number, value = self._random.randrange(60), self._random.randrange(1000)
        row = {"id": number, "value": value}
        kind = self._random.random()
        if kind < 0.5:
            upsert = {"Prefer": "resolution=merge-duplicates"}
            return await client.post("/rest/v1/things", json=row, headers=upsert)
        if kind < 0.75:
            return await client.patch(f"/rest/v1/things?id=lt.{number}", json={"value": value})
        return await client.delete(f"/rest/v1/things?id=eq.{number}")


def job_worker(served: Served) -> psutil.Process:
    web = {worker.pid for worker in served.web_workers()}
    return next(one for one in served.children("serve --port") if one.pid not in web)


async def test_followers_end_with_exactly_the_rows_that_are_there(served: Served):
    key = service_key(served.home)
    with caller(served, key) as operator:
        assert operator.post("/api/v1/tables", json=TABLE).status_code == 201
        assert operator.put("/api/v1/realtime/tables/things").status_code == 200
    followers = [Follower(served, key) for _ in range(3)]
    writers = [Writer(served, key, seed) for seed in range(3)]
    following = [asyncio.create_task(one.follow()) for one in followers]
    await until(lambda: all(one.resyncs for one in followers))
    writing = [asyncio.create_task(one.write()) for one in writers]

    async def more(count: int) -> None:
        goal = sum(one.done for one in writers) + count
        await until(lambda: sum(one.done for one in writers) >= goal)

    await more(100)
    first_web, second_web = served.web_workers()
    for victim in (
        job_worker(served),  # the reader of changes
        served.children("valkey-server")[0],
        first_web,
        served.children("postgres")[0],
        second_web,
    ):
        victim.kill()
        await asyncio.to_thread(wait_until, lambda victim=victim: not runs(victim), "it is dead")
        await more(100)
    for one in writers:
        one.stopping = True
    await asyncio.gather(*writing)  # a change without an answer might still be on its way
    with caller(served, key) as operator:
        rows = operator.get("/rest/v1/things").raise_for_status().json()
    expected = {row["id"]: row for row in rows}

    def agree() -> bool:
        for task in following:
            if task.done():
                task.result()  # says why it ended
        return all(one.rows == expected for one in followers)

    await until(agree)
    # They were told to read anew once, at the start: the log brought everything else.
    assert [one.resyncs for one in followers] == [1, 1, 1]
    assert all(one.sockets > 1 for one in followers)
    for task in following:
        task.cancel()
    await asyncio.gather(*following, *writing, return_exceptions=True)


async def until(condition: Any, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - other processes' work has no event
            await asyncio.sleep(0.02)
