"""What was acknowledged is there, whatever is killed meanwhile; what can be lost is not needed."""

import itertools
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.fixtures.served import UNDERCROFT, Served, environment, runs, serving, wait_until

LIMITS_OFF = {"UNDERCROFT_RATE_LIMITS__ENABLED": "false"}
PERSON = {"identifier": "grace@example.com", "password": "Nanosecond-Wire-30cm"}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def service_key(home: Path, **extra: str) -> str:
    command = [UNDERCROFT, "keys", "show", "--json", "--home", str(home)]
    shown = subprocess.run(command, capture_output=True, check=True, env=environment(**extra))
    return str(json.loads(shown.stdout)["service"])


def caller(served: Served, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=served.url, headers=headers, timeout=15)


def make_table(served: Served, key: str) -> None:
    columns = [{"name": "number", "type": "integer", "unique": True}]
    with caller(served, key) as operator:
        made = operator.post("/api/v1/tables", json={"name": "log", "columns": columns})
        assert made.status_code == 201, made.text


class Writers:
    """Threads that write numbers and remember which were acknowledged."""

    def __init__(self, served: Served, key: str) -> None:
        self.acknowledged: list[int] = []
        self._served = served
        self._key = key
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write) for _ in range(4)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int = 50) -> None:
        """Wait until that many further writes were acknowledged."""
        goal = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= goal, "writes are acknowledged again")

    def _write(self) -> None:
        with caller(self._served, self._key) as client:
            while not self._stop.is_set():
                number = next(self._numbers)
                try:
                    answer = client.post("/rest/v1/log", json={"number": number})
                except httpx.TransportError:
                    continue
                if answer.status_code == 201:
                    self.acknowledged.append(number)


def stored(served: Served, key: str) -> set[int]:
    with caller(served, key) as client:
        rows = client.get("/rest/v1/log", params={"select": "number"}).raise_for_status().json()
    return {row["number"] for row in rows}


def test_every_acknowledged_write_survives_every_kill(home: Path):
    with serving(home, "--workers", "2", **LIMITS_OFF) as served:
        key = service_key(home)
        make_table(served, key)
        with Writers(served, key) as writers:
            writers.more()
            for victim in ("worker", "postgres", "valkey-server"):
                found = served.children(victim) if victim != "worker" else served.web_workers()
                found[0].kill()
                wait_until(lambda found=found: not runs(found[0]), f"{victim} is dead")
                writers.more()
            served.process.kill()
            served.process.wait()
    with serving(home, "--workers", "2", **LIMITS_OFF) as served:
        kept = stored(served, key)
        assert len(writers.acknowledged) >= 200
        assert set(writers.acknowledged) <= kept


@pytest.fixture
def silent_cache(home: Path) -> Iterator[Served]:
    """A server whose Valkey takes connections and never answers: worse than one that is gone."""
    with serving(home, "--workers", "2") as served:
        with httpx.Client(base_url=served.url) as client:
            assert client.post("/api/v1/auth/register", json=PERSON).status_code == 201
        valkey = served.children("valkey-server")[0]
        valkey.send_signal(signal.SIGSTOP)
        yield served
        valkey.send_signal(signal.SIGCONT)


def test_people_sign_in_and_limits_hold_while_the_cache_is_silent(silent_cache: Served):
    with httpx.Client(base_url=silent_cache.url, timeout=30) as client:
        answers = [client.post("/api/v1/auth/login", json=PERSON) for _ in range(16)]
        assert answers[0].status_code == 200
        # Ten a minute on the one worker that this kept connection reaches.
        # The window slides: where a minute turns meanwhile, one or two more may pass.
        statuses = [answer.status_code for answer in answers]
        assert 10 <= statuses.count(200) <= 12
        assert set(statuses[12:]) == {429}
        assert int(answers[-1].headers["retry-after"]) > 0
        bearer = {"Authorization": f"Bearer {answers[0].json()['access_token']}"}
        assert client.get("/api/v1/users/me", headers=bearer).status_code == 200
        health = client.get("/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
