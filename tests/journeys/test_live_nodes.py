"""Two nodes on one database: whoever reads the log of changes may die or freeze."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from tests.fixtures.served import UNDERCROFT, Served, environment, serving
from tests.journeys.test_faults import LIMITS_OFF, caller, service_key
from tests.journeys.test_live_faults import TABLE, Follower, Writer, job_worker, until
from tests.server.test_cluster import elsewhere
from undercroft.foundation.embedded import EmbeddedEngines, Home
from undercroft.foundation.embedded.secrets import HomeSecrets
from undercroft.foundation.settings import load_settings

READERS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'walsender'
"""


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "first", "--workers", "1", **LIMITS_OFF) as served:
        yield served


def shared(first: Served) -> dict[str, str]:
    """What makes another node one of the same cluster."""
    home = Home(first.home)
    database, cache = EmbeddedEngines(home, load_settings(home=first.home)).urls()
    assert database
    assert cache
    return LIMITS_OFF | {
        "DATABASE_URL": database,
        "REDIS_URL": cache,
        "SECRET_KEY": HomeSecrets.of(home).secret_key,
    }


@contextmanager
def job_worker_of(home: Path, **extra: str) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(
        [UNDERCROFT, "worker", "--home", str(home)], env=environment(**extra)
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


class Node:
    """A machine of its own: a web server and a worker."""

    def __init__(self, served: Served, worker: "subprocess.Popen[bytes]") -> None:
        self.served = served
        self._parents = [psutil.Process(served.process.pid), psutil.Process(worker.pid)]

    def kill(self) -> None:
        """All of it at once, as by a power cut."""
        children = [child for one in self._parents for child in one.children(recursive=True)]
        for process in [*self._parents, *children]:
            process.kill()


@contextmanager
def node(home: Path, cluster: dict[str, str]) -> Iterator[Node]:
    with (
        serving(home, "--workers", "1", **cluster) as served,
        job_worker_of(home, **cluster) as worker,
    ):
        yield Node(served, worker)


async def until_two_would_read(database_url: str) -> None:
    """One reads, and another one waits for its lock."""
    connection = await asyncpg.connect(database_url)
    async with asyncio.timeout(60):
        while await connection.fetchval(READERS) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await connection.close()


@pytest.fixture
def cluster(engines: EngineAddresses, make_database: DatabaseFactory) -> dict[str, str]:
    return LIMITS_OFF | elsewhere(engines, make_database())


async def test_a_killed_reader_is_replaced_and_nothing_is_lost(
    cluster: dict[str, str], tmp_path: Path
):
    with ExitStack() as stack:
        first = stack.enter_context(node(tmp_path / "first", cluster))
        key = service_key(tmp_path / "first", **cluster)
        with caller(first.served, key) as operator:
            assert operator.post("/api/v1/tables", json=TABLE).status_code == 201
            assert operator.put("/api/v1/realtime/tables/things").status_code == 200
        followers = [Follower(first.served, key)]
        following = [asyncio.create_task(followers[0].follow())]
        await until(lambda: followers[0].resyncs)
        # The first one reads the log, for it was alone until now.
        second = stack.enter_context(node(tmp_path / "second", cluster)).served
        followers.append(Follower(second, key))
        following.append(asyncio.create_task(followers[1].follow()))
        writers = [Writer(second, key, seed) for seed in range(2)]
        writing = [asyncio.create_task(one.write()) for one in writers]
        await until(lambda: followers[1].resyncs and sum(one.done for one in writers) > 100)
        await until_two_would_read(cluster["DATABASE_URL"])
        first.kill()
        followers[0].served = second
        with caller(second, key) as operator:
            last = {"id": 1000, "value": 1}
            answer = await asyncio.to_thread(operator.post, "/rest/v1/things", json=last)
            assert answer.status_code == 201, answer.text
            await until(lambda: 1000 in followers[1].rows, seconds=30)
            for one in writers:
                one.stopping = True
            await asyncio.gather(*writing)  # a change without an answer might still be on its way
            rows = operator.get("/rest/v1/things").raise_for_status().json()
        expected = {row["id"]: row for row in rows}
        await until(lambda: all(one.rows == expected for one in followers))
        assert [one.resyncs for one in followers] == [1, 1]
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)


async def test_a_frozen_reader_is_replaced_by_another_node(first: Served, tmp_path: Path):
    key, cluster = service_key(first.home), shared(first)
    with caller(first, key) as operator:
        assert operator.post("/api/v1/tables", json=TABLE).status_code == 201
        assert operator.put("/api/v1/realtime/tables/things").status_code == 200
        home = tmp_path / "second"
        with (
            serving(home, "--workers", "1", **cluster) as second,
            job_worker_of(home, **cluster),
        ):
            followers = [Follower(node, key) for node in (first, second)]
            following = [asyncio.create_task(one.follow()) for one in followers]

            async def everywhere(number: int) -> None:
                row = {"id": number, "value": number}
                answer = await asyncio.to_thread(operator.post, "/rest/v1/things", json=row)
                assert answer.status_code == 201, answer.text
                async with asyncio.timeout(60):
                    while not all(number in one.rows for one in followers):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)

            async with asyncio.timeout(60):
                while not all(one.resyncs for one in followers):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await everywhere(1)
            frozen = job_worker(first)
            frozen.send_signal(signal.SIGSTOP)
            try:
                await everywhere(2)
            finally:
                frozen.send_signal(signal.SIGCONT)
            await everywhere(3)
            # Its time in office is over, and what it had in hand changes nothing.
            assert [sorted(one.rows) for one in followers] == [[1, 2, 3]] * 2
            assert [one.resyncs for one in followers] == [1, 1]
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)
