"""Worker processes that are killed or stopped, and a server that goes away under one."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from shutil import rmtree

import asyncpg
import pytest
from sqlalchemy import text

from tests.foundation.jobs_support import QUICK, Queue, Server, eventually, opened
from undercroft.foundation.jobs import (
    JobContext,
    JobRegistry,
    Workplace,
    enqueue,
    job,
    jobs_ddl,
    run_worker,
)
from undercroft.foundation.settings import Settings, load_settings


async def record(context: JobContext, fact: str) -> None:
    async with context.unit_of_work() as session:
        await session.execute(
            text("INSERT INTO record VALUES (:fact, :pid)"), {"fact": fact, "pid": os.getpid()}
        )


@job("test.hold_out")
async def hold_out(context: JobContext) -> None:
    """Hangs in its first worker."""
    await record(context, f"begun {context.attempt}")
    if context.attempt == 1:
        await asyncio.Event().wait()
    await record(context, "done")


@job("test.take_time")
async def take_time(context: JobContext) -> None:
    await record(context, "begun")
    await asyncio.sleep(0.5)
    await record(context, "done")


REGISTRY = JobRegistry(jobs=[hold_out, take_time])


@asynccontextmanager
async def open_workplace(settings: Settings) -> AsyncIterator[Workplace]:
    async with opened(settings, REGISTRY) as make:
        yield Workplace(REGISTRY, make.begin)


def start_worker(queue: Queue, output: Path = Path(os.devnull)) -> subprocess.Popen[bytes]:
    with output.open("w") as log:
        return subprocess.Popen([sys.executable, "-m", __name__, queue.url], stdout=log)


async def says(output: Path, words: str) -> bool:
    return words in await asyncio.to_thread(output.read_text)


async def facts(queue: Queue) -> list[str]:
    return [row["fact"] for row in await queue.fetch("SELECT fact FROM record")]


async def recorded(queue: Queue, *expected: str) -> bool:
    return await facts(queue) == list(expected)


@pytest.fixture
async def recording(queue: Queue) -> Queue:
    await queue.fetch("CREATE TABLE record (fact text, pid int)")
    return queue


async def put(queue: Queue, wanted) -> None:
    async with queue.session(REGISTRY) as session:
        await enqueue(session, wanted)


async def test_a_job_whose_worker_was_killed_runs_again(recording: Queue):
    await put(recording, hold_out)
    first = start_worker(recording)
    await eventually(lambda: recorded(recording, "begun 1"))
    first.kill()
    first.wait()
    second = start_worker(recording)
    await eventually(lambda: recorded(recording, "begun 1", "begun 2", "done"))
    await eventually(recording.is_empty)
    second.terminate()
    assert second.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_worker_after_its_job(recording: Queue, number: int):
    await put(recording, take_time)
    worker = start_worker(recording)
    await eventually(lambda: recorded(recording, "begun"))
    worker.send_signal(number)
    await put(recording, take_time)
    assert await asyncio.to_thread(worker.wait, 30) == 0
    assert await facts(recording) == ["begun", "done"]
    assert await recording.waiting() == ["test.take_time"]


@pytest.fixture
def mortal() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop("immediate")
    rmtree(server.home)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_worker_outlives_its_server(mortal: Server, mode: str):
    queue = Queue(mortal.url())
    connection = await asyncpg.connect(queue.url)
    await connection.execute(jobs_ddl())
    await connection.execute("CREATE TABLE record (fact text, pid int)")
    await connection.close()
    worker = start_worker(queue)
    await put(queue, take_time)
    await eventually(lambda: recorded(queue, "begun", "done"))
    await asyncio.to_thread(mortal.stop, mode)
    await asyncio.sleep(0.5)
    assert worker.poll() is None
    await asyncio.to_thread(mortal.start)
    await put(queue, take_time)
    await eventually(lambda: recorded(queue, "begun", "done", "begun", "done"))
    await eventually(queue.is_empty)
    worker.terminate()
    assert worker.wait(30) == 0


async def test_a_job_that_runs_while_the_server_restarts_is_not_lost(mortal: Server):
    queue = Queue(mortal.url())
    connection = await asyncpg.connect(queue.url)
    await connection.execute(jobs_ddl())
    await connection.execute("CREATE TABLE record (fact text, pid int)")
    await connection.close()
    worker = start_worker(queue)
    await put(queue, take_time)
    await eventually(lambda: recorded(queue, "begun"))
    await asyncio.to_thread(mortal.stop, "immediate")
    await asyncio.to_thread(mortal.start)
    await eventually(queue.is_empty)
    assert (await facts(queue))[-1] == "done"
    worker.terminate()
    assert worker.wait(30) == 0


async def test_a_worker_that_cannot_reach_its_server_still_stops(tmp_path: Path):
    output = tmp_path / "log"
    worker = start_worker(Queue(f"postgresql://nobody@/nothing?host={tmp_path}"), output)
    await eventually(lambda: says(output, "queue_connection_lost"))
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 30) == 0


if __name__ == "__main__":
    jobs = QUICK | {"first_retry": timedelta(milliseconds=100)}
    run_worker(
        load_settings(database={"url": sys.argv[1]}, jobs=jobs, _env_file=None), open_workplace
    )
