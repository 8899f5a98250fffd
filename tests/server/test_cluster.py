"""Two nodes over one Postgres and one Valkey, as two machines behind a load balancer would be."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.fixtures.actors import unique
from tests.fixtures.engines import SECRET_KEY, DatabaseFactory, EngineAddresses
from tests.fixtures.served import UNDERCROFT, Served, command, environment, serving, wait_until

PERSON = {"identifier": "grace@example.com", "password": "Nanosecond-Wire-30cm"}
LOGIN = "/api/v1/auth/login"


@dataclass
class Cluster:
    nodes: list[Served]
    settings: dict[str, str]
    home: Path

    def run(self, *arguments: str) -> str:
        outcome = command(*arguments, "--home", str(self.home), **self.settings)
        assert outcome.returncode == 0, outcome.stderr
        return outcome.stdout

    def client(self, node: int, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.nodes[node].url, headers=headers, timeout=30)


def elsewhere(engines: EngineAddresses, database: str) -> dict[str, str]:
    return {
        "DATABASE_URL": engines.database_url(database),
        "REDIS_URL": engines.cache_url,
        "SECRET_KEY": SECRET_KEY,
        "UNDERCROFT_CACHE__PREFIX": unique("cluster"),
        # A busy machine answers late, and then each node would count for itself.
        "UNDERCROFT_CACHE__TIMEOUT": "20",
    }


@pytest.fixture(scope="module")
def cluster(
    engines: EngineAddresses,
    make_database: DatabaseFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """Two nodes with a worker process each; both workers take from one queue."""
    directory = tmp_path_factory.mktemp("cluster")
    settings = elsewhere(engines, make_database())
    with ExitStack() as stack:
        nodes = [
            stack.enter_context(serving(directory / name, "--workers", "1", **settings))
            for name in ("one", "two")
        ]
        for node in nodes:
            stack.callback(_stop, _worker(node.home, settings))
        yield Cluster(nodes, settings, nodes[0].home)


def _worker(home: Path, settings: dict[str, str]) -> "subprocess.Popen[bytes]":
    log = (home.parent / "worker.log").open("ab")
    with log:
        return subprocess.Popen(
            [UNDERCROFT, "worker", "--home", str(home)],
            stdout=log,
            stderr=log,
            env=environment(**settings),
            cwd="/",
        )


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    process.wait(60)


class TestTwoNodes:
    def test_one_knows_who_signed_in_at_the_other_and_who_left(self, cluster: Cluster):
        with cluster.client(0) as one:
            assert one.post("/api/v1/auth/register", json=PERSON).status_code == 201
            token = one.post(LOGIN, json=PERSON).json()["access_token"]
        with cluster.client(0, token) as one, cluster.client(1, token) as two:
            # Both keep what they know of the token.
            assert [c.get("/api/v1/users/me").status_code for c in (one, two)] == [200, 200]
            assert two.post("/api/v1/auth/logout").status_code == 200
            wait_until(lambda: one.get("/api/v1/users/me").status_code == 401, "it is out there")
            assert one.get("/rest/v1/").status_code == 401

    def test_limits_count_what_both_were_asked(self, cluster: Cluster):
        with cluster.client(0) as one, cluster.client(1) as two:
            wrong = {"identifier": f"{unique('nobody')}@example.com", "password": "Wrong-Pass-42"}
            statuses = [
                node.post(LOGIN, json=wrong).status_code for _ in range(8) for node in (one, two)
            ]
        # Ten a minute for both together; where a minute turns meanwhile, a few more may pass.
        assert 429 in statuses
        assert statuses.index(429) <= 12

    def test_two_workers_send_one_mail(self, cluster: Cluster):
        people = [f"{unique('reader')}@example.com" for _ in range(3)]
        with cluster.client(0) as one, cluster.client(1) as two:
            for number, person in enumerate(people):
                asked = (one, two)[number % 2].post(
                    "/api/v1/auth/register", json={**PERSON, "identifier": person}
                )
                assert asked.status_code == 201, asked.text

        def messages() -> list[str]:
            listed = json.loads(cluster.run("outbox", "--json", "--limit", "100"))
            return [entry["recipient"] for entry in listed if entry["recipient"] in people]

        wait_until(lambda: set(messages()) == set(people), "the mails")
        assert sorted(messages()) == sorted(people)

    def test_a_table_made_at_one_is_served_by_the_other(self, cluster: Cluster):
        keys = json.loads(cluster.run("keys", "show", "--json"))
        table = {"name": unique("shared"), "columns": [{"name": "id", "type": "integer"}]}
        with cluster.client(0, keys["service"]) as one, cluster.client(1, keys["service"]) as two:
            assert one.post("/api/v1/tables", json=table).status_code == 201
            path = f"/rest/v1/{table['name']}"
            wait_until(lambda: two.get(path).status_code == 200, "the other knows the table")
            assert two.post(path, json={"id": 7}).status_code == 201
            assert one.get(path).json() == [{"id": 7}]

    def test_one_goes_on_when_the_other_is_killed(self, cluster: Cluster):
        two = cluster.nodes[1]
        two.process.kill()
        two.process.wait()
        assert cluster.nodes[0].get("/health/ready") == 200


def test_two_nodes_that_migrate_at_once_make_one_schema(
    engines: EngineAddresses, make_database: DatabaseFactory, tmp_path: Path
):
    name = make_database()
    engines.execute(f'DROP DATABASE "{name}"')
    engines.execute(f'CREATE DATABASE "{name}" OWNER undercroft')
    settings = elsewhere(engines, name)
    upgrades = [
        subprocess.Popen(
            [UNDERCROFT, "db", "upgrade", "--home", str(tmp_path / home)],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=environment(**settings),
            cwd="/",
        )
        for home in ("one", "two", "three")
    ]
    outcomes = [(upgrade.communicate(timeout=120)[1], upgrade.returncode) for upgrade in upgrades]
    assert [status for _, status in outcomes] == [0, 0, 0], outcomes
    checked = command("db", "check", "--home", str(tmp_path / "one"), **settings)
    assert checked.returncode == 0, checked.stdout
