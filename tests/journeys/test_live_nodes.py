"""Two nodes on one database: whoever reads the log of changes may die or freeze."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fixtures.served import UNDERCROFT, Served, environment, serving
from tests.journeys.test_faults import LIMITS_OFF, caller, service_key
from tests.journeys.test_live_faults import TABLE, Follower, job_worker
from undercroft.foundation.embedded import EmbeddedEngines, Home
from undercroft.foundation.embedded.secrets import HomeSecrets
from undercroft.foundation.settings import load_settings


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
def job_worker_of(home: Path, **extra: str) -> Iterator[None]:
    process = subprocess.Popen(
        [UNDERCROFT, "worker", "--home", str(home)], env=environment(**extra)
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


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
