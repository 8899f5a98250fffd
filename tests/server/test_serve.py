"""`undercroft serve`: starting, stopping, surviving."""

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.fixtures.engines import SECRET_KEY, DatabaseFactory, EngineAddresses
from tests.fixtures.served import (
    UNDERCROFT,
    Served,
    command,
    environment,
    runs,
    serving,
    wait_until,
)
from undercroft.foundation.scheduling import NICENESS

ODD = {"UNDERCROFT_DATABSE__POOL_SIZE": "7", "UNDERCROFT_RATE_LIMITS__ENABLED": "false"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for the tests that leave it as it was, or that it recovers from."""
    home = tmp_path_factory.mktemp("serve") / "home"
    with serving(home, "--workers", "2", **ODD) as served:
        yield served


class TestStart:
    def test_answers_at_the_address_it_announces(self, server: Served):
        assert server.get("/health") == 200
        assert server.get("/health/ready") == 200

    def test_a_misspelt_setting_is_told_at_the_start(self, server: Served):
        said = (server.home.parent / "serve.log").read_text()
        meant = "UNDERCROFT_DATABASE__POOL_SIZE"
        assert f"UNDERCROFT_DATABSE__POOL_SIZE is not a setting: did you mean {meant}?" in said

    def test_links_in_mails_lead_to_the_port_it_has(self, server: Served):
        body = {"identifier": "root@example.com"}
        url = f"{server.url}/api/v1/auth/password-reset/request"
        assert httpx.post(url, json=body, timeout=60).status_code == 200

        def mail() -> str:
            return command("outbox", "--json", "--home", str(server.home)).stdout

        wait_until(lambda: "reset-password?token=" in mail(), "the mail")
        assert f"http://localhost:{server.port}/reset-password?token=" in mail()

    def test_two_web_workers_one_job_worker_and_one_that_hashes(self, server: Served):
        assert len(server.children("serve --port")) == 4
        # The two others have the socket too, until they have come to closing it.
        wait_until(lambda: len(server.web_workers()) == 2, "two listen")
        assert hashing_process(server)

    def test_gauges_are_those_of_this_moment_alone(self, server: Served):
        """Not also those of earlier scrapes, which each process would keep in its file."""
        for _ in range(4):
            told = httpx.get(f"{server.url}/metrics", timeout=30).text
        kinds = re.findall(r"^# TYPE (\S+)", told, re.MULTILINE)
        assert len(kinds) == len(set(kinds))
        assert 'undercroft_up{part="database"} 1.0' in told
        assert 'undercroft_jobs_dead{job="operations.seal_activity"} 0.0' in told
        assert "pid=" not in told

    def test_the_parent_has_one_thread_so_that_forking_is_safe(self, server: Served):
        assert psutil.Process(server.process.pid).num_threads() == 1

    def test_a_second_serve_on_the_home_says_who_holds_it(self, server: Served):
        second = command("serve", "--port", "0", "--home", str(server.home))
        assert second.returncode == 1
        assert f"pid {server.process.pid}" in second.stderr
        assert server.url in second.stderr
        assert "Traceback" not in second.stderr

    def test_a_taken_port_is_one_sentence(self, server: Served, tmp_path: Path):
        second = command("serve", "--port", str(server.port), "--home", str(tmp_path / "home"))
        assert second.returncode == 1
        assert second.stderr.startswith(f"undercroft: Port {server.port} on 127.0.0.1 is taken")
        assert len(second.stderr.splitlines()) == 1

    def test_a_wrong_setting_names_its_variable(self, tmp_path: Path):
        outcome = command("serve", "--home", str(tmp_path), UNDERCROFT_JOBS__CONCURRENCY="many")
        assert outcome.returncode == 2
        assert "UNDERCROFT_JOBS__CONCURRENCY" in outcome.stderr
        assert "Traceback" not in outcome.stderr

    def test_a_database_that_is_no_postgres_is_one_sentence(self, tmp_path: Path):
        outcome = command("serve", "--home", str(tmp_path), DATABASE_URL="mysql://localhost/x")
        assert outcome.returncode == 2
        assert "it must begin with postgresql://" in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1

    def test_another_secret_key_is_one_sentence(self, server: Served):
        home = ("--home", str(server.home))
        outcome = command("keys", "show", *home, SECRET_KEY="another" * 8)
        assert outcome.returncode == 1
        assert "sealed with another SECRET_KEY" in outcome.stderr
        assert len(outcome.stderr.splitlines()) == 1
        checked = command("doctor", "--port", "0", *home, SECRET_KEY="another" * 8)
        assert checked.returncode == 1
        assert "sealed with another SECRET_KEY" in checked.stdout

    def test_commands_find_the_server_of_their_home(self, server: Served):
        outcome = command("types", "--home", str(server.home))
        assert "export type Database" in outcome.stdout, outcome.stderr

    def test_its_root_leads_to_the_documentation(self, server: Served):
        assert server.get("/") == 307

    def test_a_command_without_its_database_says_where_to_look(self, tmp_path: Path):
        nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "SECRET_KEY": "some" * 8}
        outcome = command("db", "current", "--home", str(tmp_path), **nowhere)
        assert outcome.returncode == 1
        assert "cannot be reached" in outcome.stderr
        assert "undercroft doctor" in outcome.stderr

    def test_production_elsewhere_needs_a_secret_key(self, tmp_path: Path):
        outcome = command(
            "serve",
            "--home",
            str(tmp_path),
            ENVIRONMENT="production",
            DATABASE_URL="postgresql://nobody@127.0.0.1:1/x",
        )
        assert outcome.returncode == 2
        assert "SECRET_KEY is missing" in outcome.stderr

    @pytest.mark.parametrize("broken", ["nowhere", "no.such.module"])
    def test_a_broken_app_is_a_wrong_setting(
        self, engines: EngineAddresses, make_database: DatabaseFactory, tmp_path: Path, broken: str
    ):
        outcome = command(
            "serve",
            "--port",
            "0",
            "--home",
            str(tmp_path),
            DATABASE_URL=engines.database_url(make_database()),
            REDIS_URL=engines.cache_url,
            SECRET_KEY=SECRET_KEY,
            UNDERCROFT_APPS=broken,
        )
        assert outcome.returncode == 2, outcome.stderr
        assert "UNDERCROFT_APPS" in outcome.stderr
        assert "Traceback" not in outcome.stderr

    def test_a_database_that_does_not_answer_is_one_sentence(self, tmp_path: Path):
        outcome = command(
            "serve",
            "--port",
            "0",
            "--home",
            str(tmp_path),
            DATABASE_URL="postgresql://nobody@127.0.0.1:1/x",
            REDIS_URL="redis://127.0.0.1:1",
        )
        assert outcome.returncode == 1
        assert "Traceback" not in outcome.stderr
        assert not (tmp_path / "postgres").exists()

    def test_the_password_of_the_superuser_is_printed_once(self, tmp_path: Path):
        first, second = (started_and_stopped(tmp_path / "home") for _ in range(2))
        assert "root@example.com" in first
        assert "shown only this once" in first
        assert "root@example.com" not in second


class TestConnections:
    def test_are_shared_out_evenly(self, server: Served):
        with ExitStack() as stack:
            for _ in range(8):
                connection = stack.enter_context(connected(server))
                connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
            counts = [established(worker, server.port) for worker in server.web_workers()]
        assert counts == [4, 4]

    def test_an_endless_head_is_refused(self, server: Served):
        with connected(server) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
            answer = send_until_answered(connection, b"a" * 10_000)
        assert answer.startswith(b"HTTP/1.1 431")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "headers_too_large"

    def test_several_requests_pass_in_one_packet(self, server: Served):
        request = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
        last = request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        with connected(server) as connection:
            connection.sendall(request * 4 + last)
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.count(b"HTTP/1.1 200") == 5


class TestRecovery:
    def test_a_killed_worker_is_replaced(self, server: Served):
        victim = server.web_workers()[0]
        victim.kill()
        wait_until(lambda: not runs(victim), "the worker is dead")
        wait_until(lambda: len(server.web_workers()) == 2, "there are two again")
        assert [server.get("/health") for _ in range(4)] == [200] * 4

    def test_people_sign_in_while_the_hashing_process_dies(self, server: Served):
        with ThreadPoolExecutor(8) as people:
            answers = [people.submit(sign_in_wrongly, server) for _ in range(24)]
            wait_until(lambda: any(answer.done() for answer in answers), "some had their hash")
            victim = hashing_process(server)
            victim.kill()
            assert {answer.result() for answer in answers} == {401}
        wait_until(lambda: not runs(victim), "it is dead")
        assert hashing_process(server).pid != victim.pid

    def test_people_sign_in_when_nothing_is_left_for_the_hashing_process(self, server: Served):
        starved = hashing_process(server)
        starved.suspend()
        try:
            assert sign_in_wrongly(server) == 401
        finally:
            starved.resume()

    @pytest.mark.parametrize("engine", ["postgres", "valkey"])
    def test_a_killed_engine_is_started_again(self, server: Served, engine: str):
        before = {worker.pid for worker in server.web_workers()}
        victim = server.children(engine)[0]
        victim.kill()
        wait_until(lambda: not runs(victim), "the engine is dead")
        wait_until(lambda: server.children(engine), "there is a new one")
        wait_until(lambda: server.get("/health") == 200, "health is back")
        assert {worker.pid for worker in server.web_workers()} == before

    def test_a_hangup_replaces_the_workers_without_refusing_anybody(self, server: Served):
        before = {worker.pid for worker in server.web_workers()}
        answers = []
        server.process.send_signal(signal.SIGHUP)

        def replaced() -> bool:
            answers.append(server.get("/health/live"))
            now = {worker.pid for worker in server.web_workers()}
            return len(now) == 2 and not now & before

        wait_until(replaced, "both are new")
        assert set(answers) == {200}

    def test_nothing_survives_the_parent_and_the_next_start_works(self, tmp_path: Path):
        with serving(tmp_path / "home") as served:
            family = psutil.Process(served.process.pid).children(recursive=True)
            served.process.kill()
            wait_until(lambda: not any(map(runs, family)), "all children ended")
        with serving(tmp_path / "home") as served:
            assert served.get("/health") == 200


def test_a_hash_that_nobody_reads_is_told_once_by_the_account(
    engines: EngineAddresses, make_database: DatabaseFactory, tmp_path: Path
):
    database = make_database()
    addresses = {"DATABASE_URL": engines.database_url(database), "REDIS_URL": engines.cache_url}
    person = {"identifier": "root@example.com", "password": "Correct-Horse-42"}
    variables = {"FIRST_SUPERUSER_PASSWORD": person["password"], "SECRET_KEY": SECRET_KEY}
    with serving(tmp_path / "home", "--workers", "1", **addresses, **variables) as served:
        login = f"{served.url}/api/v1/auth/login"
        account = httpx.post(login, json=person, timeout=60).json()["user"]["id"]
        theirs = "$pbkdf2-sha256$29000$c2FsdA$Vw.Bu6fvZ5jPKmPxpjvl0fZWLXZz1PVTOZCrF8.hZ4c"
        engines.execute(f"UPDATE auth.users SET password_hash = '{theirs}'", database=database)
        for _ in range(2):
            assert httpx.post(login, json=person, timeout=60).status_code == 401
    said = (tmp_path / "serve.log").read_text()
    told = [line for line in said.splitlines() if "password_hash_unreadable" in line]
    assert len(told) == 1, said
    assert account in told[0]
    assert "pbkdf2" not in said


class TestStop:
    def test_a_request_in_flight_is_answered(self, tmp_path: Path):
        body = b'{"identifier": "root@example.com", "password": "wrong"}'
        with serving(tmp_path / "home") as served:
            with connected(served) as connection:
                head = "POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n"
                head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body[:10])
                wait_until(lambda: reads_body(served), "the request has begun")
                served.process.terminate()
                wait_until(lambda: served.get("/health/live") == 0, "no new connection is taken")
                connection.sendall(body[10:])
                assert connection.recv(100).startswith(b"HTTP/1.1 401")
            assert served.process.wait(60) == 0

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_everything_ends_with_exit_code_0(self, tmp_path: Path, number: signal.Signals):
        with serving(tmp_path / "home") as served:
            family = psutil.Process(served.process.pid).children(recursive=True)
            assert served.stop(number) == 0
            assert not any(map(runs, family))
        log = (tmp_path / "home" / "logs" / "postgres.log").read_text()
        assert "database system is shut down" in log

    def test_a_second_interrupt_does_not_wait_for_anybody(self, tmp_path: Path):
        with serving(tmp_path / "home") as served, connected(served) as connection:
            connection.sendall(b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\n")
            connection.sendall(b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
            wait_until(lambda: reads_body(served), "the request has begun")
            served.process.send_signal(signal.SIGINT)
            wait_until(lambda: served.get("/health/live") == 0, "it is stopping")
            assert served.stop(signal.SIGINT) == 0


def hashing_process(served: Served) -> psutil.Process:
    """The one that gives way to all others."""

    def nice() -> list[psutil.Process]:
        return [each for each in served.children("serve --port") if each.nice() == NICENESS]

    wait_until(nice, "there is one")
    return nice()[0]


def sign_in_wrongly(served: Served) -> int:
    body = {"identifier": f"{uuid4().hex}@example.com", "password": "wrong"}
    return httpx.post(f"{served.url}/api/v1/auth/login", json=body, timeout=60).status_code


def connected(served: Served) -> closing[socket.socket]:
    return closing(socket.create_connection(("127.0.0.1", served.port)))


def started_and_stopped(home: Path) -> str:
    """What a server prints for people."""
    process = subprocess.Popen(
        [UNDERCROFT, "serve", "--port", "0", "--home", str(home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        cwd="/",
    )
    assert process.stdout
    lines = []
    while not (lines and lines[-1].startswith("Keys")):
        lines.append(process.stdout.readline())
        assert lines[-1], "the server ended early"
    process.terminate()
    process.wait(60)
    process.stdout.close()
    return "".join(lines)


def established(process: psutil.Process, port: int) -> int:
    found = process.net_connections("tcp")
    return sum(c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port for c in found)


def reads_body(served: Served) -> bool:
    """Whether a worker holds a connection."""
    return any(established(worker, served.port) for worker in served.web_workers())


def send_until_answered(connection: socket.socket, piece: bytes) -> bytes:
    connection.settimeout(60)
    for _ in range(100):
        try:
            connection.sendall(piece)
        except OSError:
            break
    return connection.recv(4096)
