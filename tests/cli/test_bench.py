"""`undercroft bench`, on a server that runs."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.served import Served, command, serving
from tests.fixtures.targets import answer, target

QUICK = ("--seconds", "1", "--rows", "200", "--connections", "4")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("bench") / "home", "--workers", "1") as served:
        yield served


class TestBench:
    def test_measures_beside_pgbench_and_leaves_nothing(self, server: Served):
        home = ("--home", str(server.home))
        outcome = command("bench", "--json", *QUICK, *home)
        assert outcome.returncode == 0, outcome.stderr
        found = {line["name"]: line for line in json.loads(outcome.stdout)}
        assert list(found) == ["read one", "list 30", "insert one", "sign in"]
        for name, line in found.items():
            assert (line["failed"], line["rate"] > 0) == (0, True)
            assert line["p50_ms"] <= line["p99_ms"]
            assert (line["pgbench_rate"] is None) == (name == "sign in")
        assert "bench_" not in command("types", *home).stdout
        listed = command("groups", "members", "user", "--json", *home)
        assert "bench_" not in listed.stdout

    def test_names_what_it_needs(self, server: Served, tmp_path: Path):
        nobody = command("bench", "--url", "http://127.0.0.1:1", "--home", str(server.home))
        assert nobody.returncode == 1
        assert "Start `undercroft serve`" in nobody.stderr
        elsewhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}
        foreign = command("bench", "--home", str(tmp_path), **elsewhere)
        assert foreign.returncode == 1
        assert "--yes" in foreign.stderr

    async def test_tells_of_a_server_that_goes_away(self, server: Served):
        made = answer(201, b'{"id": "01890000-0000-7000-8000-000000000000"}')
        answers = iter([answer(), made])

        async def reply(writer: asyncio.StreamWriter) -> None:
            if (given := next(answers, None)) is None:
                raise ConnectionError
            await given(writer)

        async with target(reply) as leaving:
            where = ("--home", str(server.home), "--url", leaving.url(path=""))
            outcome = await asyncio.to_thread(command, "bench", *QUICK, *where)
        assert outcome.returncode == 1
        assert outcome.stderr.startswith(f"undercroft: The connection to {leaving.url(path='')}")
        assert outcome.stderr.count("\n") == 1
