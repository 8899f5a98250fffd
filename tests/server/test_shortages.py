"""`undercroft serve` where the system has no more to give: descriptors, processes, room on disk."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.fixtures.served import Served, serving, wait_until
from undercroft.foundation.embedded.accounts import Account
from undercroft.foundation.embedded.logfile import LARGEST, LogFile
from undercroft.foundation.scheduling import NICENESS
from undercroft.server.forks import ForkedProcess, Lifeline

LOGIN = (
    b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: 9\r\n\r\n{"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("short") / "home"
    with serving(home, "--workers", "2", UNDERCROFT_RATE_LIMITS__ENABLED="false") as served:
        yield served


def test_a_parent_without_descriptors_replaces_the_workers_later(server: Served):
    before = pids(server)
    with without_descriptors(psutil.Process(server.process.pid)):
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: told(server, "Replacing the web workers failed"), "it was told")
        time.sleep(0.5)  # some more tries, that are not told and keep no seat
    wait_until(lambda: replaced(server, before), "both are new")
    assert told(server, "Replacing the web workers failed") == 1
    assert server.get("/health") == 200


def test_a_second_hangup_waits_for_requests_of_the_first(server: Served):
    first = pids(server)
    with ExitStack() as connections:
        hold_requests(server, connections)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: replaced(server, first), "both are new")
        second = pids(server)
        hold_requests(server, connections)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: pids(server) - second, "one is newer")
        time.sleep(0.3)  # it looks for a seat for the other
    wait_until(lambda: replaced(server, second), "both are newer")
    assert server.get("/health") == 200


def test_workers_without_descriptors_rest_until_there_are_some(server: Served):
    workers = server.web_workers()
    with connected_to(server, workers) as connection:
        wait_until(lambda: told(server, "New connections wait"), "it was told")
        used = seconds(workers)
        time.sleep(1)
        assert seconds(workers) - used < 0.5
    with connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert told(server, "New connections wait") <= len(workers)


def test_a_hashing_process_without_descriptors_goes_on(server: Served):
    hashing = next(p for p in server.children("serve --port") if p.nice() == NICENESS)
    assert sign_in_wrongly(server) == 401
    threads = hashing.num_threads()
    with without_descriptors(hashing):
        assert [sign_in_wrongly(server) for _ in range(3)] == [401] * 3
    assert sign_in_wrongly(server) == 401
    assert hashing.is_running()
    assert hashing.num_threads() == threads


def test_a_log_is_emptied_when_there_is_no_room_for_a_copy(tmp_path: Path):
    path = tmp_path / "postgres.log"
    path.touch()
    os.truncate(path, LARGEST + 1)
    path.with_suffix(".log.1").symlink_to("/dev/full")
    LogFile(path, Account(os.geteuid(), os.getegid())).trim()
    assert path.stat().st_size == 0


def test_a_fork_that_fails_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch):
    def refuse() -> NoReturn:
        raise BlockingIOError("no process is left")

    monkeypatch.setattr(os, "fork", refuse)
    child = ForkedProcess("A child", Lifeline(), lambda ready: ready())
    before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(BlockingIOError):
            child.launch()
    assert psutil.Process().num_fds() == before


@contextmanager
def without_descriptors(*processes: psutil.Process) -> Iterator[None]:
    """What they have open stays open."""
    limits = [process.rlimit(psutil.RLIMIT_NOFILE) for process in processes]
    try:
        for process, (_, most) in zip(processes, limits, strict=True):
            process.rlimit(psutil.RLIMIT_NOFILE, (3, most))
        yield
    finally:
        for process, limit in zip(processes, limits, strict=True):
            if process.is_running():
                process.rlimit(psutil.RLIMIT_NOFILE, limit)


@contextmanager
def connected_to(served: Served, workers: list[psutil.Process]) -> Iterator[socket.socket]:
    """A connection with a request, made while no worker can take it."""
    with without_descriptors(*workers):
        connection = socket.create_connection(("127.0.0.1", served.port), timeout=60)
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        yield connection


def hold_requests(served: Served, connections: ExitStack) -> None:
    """One in each worker, that waits for its body."""
    workers = served.web_workers()
    for _ in workers:
        connection = socket.create_connection(("127.0.0.1", served.port))
        connections.enter_context(closing(connection)).sendall(LOGIN)
    wait_until(lambda: all(busy(worker, served.port) for worker in workers), "all have one")


def busy(worker: psutil.Process, port: int) -> bool:
    found = worker.net_connections("tcp")
    return any(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port for c in found)


def pids(served: Served) -> set[int]:
    return {worker.pid for worker in served.web_workers()}


def replaced(served: Served, before: set[int]) -> bool:
    assert served.process.poll() is None, "the parent ended"
    now = pids(served)
    return len(now) == 2 and not now & before


def seconds(processes: list[psutil.Process]) -> float:
    """Of a processor, that they used until now."""
    return sum(used.user + used.system for used in (p.cpu_times() for p in processes))


def told(served: Served, words: str) -> int:
    return (served.home.parent / "serve.log").read_text().count(words)


def sign_in_wrongly(served: Served) -> int:
    body = {"identifier": f"{uuid4().hex}@example.com", "password": "wrong"}
    return httpx.post(f"{served.url}/api/v1/auth/login", json=body, timeout=60).status_code
