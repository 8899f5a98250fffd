"""Worker processes that are killed or stopped, and a server that goes away under one."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest
from sqlalchemy import text

from tests.foundation.jobs_support import QUICK, Queue, eventually, opened
from undercroft.foundation.db.migrate import upgrade
from undercroft.foundation.embedded import EmbeddedEngines, Home, HomeLock
from undercroft.foundation.embedded.postgres import PostgresEngine
from undercroft.foundation.jobs import (
    JobContext,
    JobRegistry,
    Workplace,
    enqueue,
    job,
)
from undercroft.foundation.jobs.worker import run_worker
from undercroft.foundation.settings import Settings, load_settings


async def record(context: JobContext, fact: str) -> None:
    async with context.unit_of_work() as session:
        await session.execute(
            text("INSERT INTO public.record VALUES (:fact, :pid)"),
            {"fact": fact, "pid": os.getpid()},
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


@job("test.wait_for_word")
async def wait_for_word(context: JobContext) -> None:
    await record(context, "begun")
    heard = False
    while not heard:
        await asyncio.sleep(0.02)
        async with context.unit_of_work() as session:
            heard = bool(await session.scalar(WORD))
    await record(context, "done")


WORD = text("SELECT count(*) FROM public.record WHERE fact = 'a word'")
REGISTRY = JobRegistry(jobs=[hold_out, take_time, wait_for_word])


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
    return [row["fact"] for row in await queue.fetch("SELECT fact FROM public.record")]


async def recorded(queue: Queue, *expected: str) -> bool:
    return await facts(queue) == list(expected)


@pytest.fixture
async def recording(queue: Queue) -> Queue:
    await queue.fetch("CREATE TABLE public.record (fact text, pid int)")
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
    await put(recording, wait_for_word)
    worker = start_worker(recording)
    await eventually(lambda: recorded(recording, "begun"))
    worker.send_signal(number)
    await put(recording, take_time)
    await recording.fetch("INSERT INTO public.record VALUES ('a word')")
    assert await asyncio.to_thread(worker.wait, 30) == 0
    assert await facts(recording) == ["begun", "a word", "done"]
    assert await recording.waiting() == ["test.take_time"]


@pytest.fixture
def mortal() -> Iterator[PostgresEngine]:
    """A Postgres that nobody else works with."""
    directory = Path(mkdtemp(prefix="undercroft-jobs-"))  # pytest's own names are too long
    home = Home(directory)
    home.make()
    settings = load_settings(cache={"url": "redis://elsewhere"}, _env_file=None)
    with HomeLock(home) as lock:
        lock.acquire("tests")
        engines = EmbeddedEngines(home, settings)  # durable: it will be killed
        engines.launch()
        engines.wait_ready()
        assert engines.postgres
        upgrade(settings_of(engines.postgres))
        yield engines.postgres
        engines.stop()
    rmtree(directory)


def settings_of(postgres: PostgresEngine) -> Settings:
    return load_settings(database={"url": postgres.url()}, _env_file=None)


@pytest.fixture
async def mortal_queue(mortal: PostgresEngine) -> Queue:
    queue = Queue(mortal.url())
    await queue.fetch("CREATE TABLE public.record (fact text, pid int)")
    return queue


def stop(postgres: PostgresEngine) -> None:
    postgres.stop()


def kill(postgres: PostgresEngine) -> None:
    assert postgres.pid
    os.kill(postgres.pid, signal.SIGKILL)
    while postgres.alive():  # a child that nobody has asked after still holds its id
        time.sleep(0.01)


def start(postgres: PostgresEngine) -> None:
    postgres.launch()
    postgres.wait_ready()


@pytest.mark.parametrize("end", [stop, kill])
async def test_a_worker_outlives_its_server(
    mortal: PostgresEngine, mortal_queue: Queue, end: Callable[[PostgresEngine], None]
):
    worker = start_worker(mortal_queue)
    await put(mortal_queue, take_time)
    await eventually(lambda: recorded(mortal_queue, "begun", "done"))
    await eventually(mortal_queue.is_empty)
    end(mortal)
    await asyncio.sleep(0.5)
    assert worker.poll() is None
    start(mortal)
    await put(mortal_queue, take_time)
    await eventually(mortal_queue.is_empty)
    # A killed server may have forgotten that the first was done: then it is done again.
    assert (await facts(mortal_queue)).count("done") >= 2
    worker.terminate()
    assert worker.wait(30) == 0


async def test_a_job_that_runs_while_the_server_dies_is_not_lost(
    mortal: PostgresEngine, mortal_queue: Queue
):
    worker = start_worker(mortal_queue)
    await put(mortal_queue, take_time)
    await eventually(lambda: facts(mortal_queue))
    kill(mortal)
    start(mortal)
    await eventually(mortal_queue.is_empty)
    assert (await facts(mortal_queue))[-1] == "done"
    worker.terminate()
    assert worker.wait(30) == 0


async def test_a_worker_that_cannot_reach_its_server_still_stops(tmp_path: Path):
    output = tmp_path / "log"
    worker = start_worker(Queue(f"postgresql://nobody@/nothing?host={tmp_path}"), output)
    await eventually(lambda: says(output, "queue_connection_lost"))
    worker.terminate()
    assert await asyncio.to_thread(worker.wait, 30) == 0


if __name__ == "__main__":
    lost = {"heartbeat_timeout": timedelta(seconds=3)}
    jobs = QUICK | lost | {"first_retry": timedelta(milliseconds=100)}
    run_worker(
        load_settings(database={"url": sys.argv[1]}, jobs=jobs, _env_file=None), open_workplace
    )
