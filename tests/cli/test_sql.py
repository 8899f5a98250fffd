"""`undercroft sql`, and the commands of the guide about SQL as they are printed there."""

import csv
import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.served import UNDERCROFT, Served, command, environment, serving

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "sql.md"
COMMANDS = re.compile(r"^\$ (.*?)(?=^[^ ]|\Z)", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("sql") / "home"
    with serving(home, "--workers", "1") as served:
        yield served


def run(served: Served, *arguments: str, status: int = 0, stdin: str = "") -> str:
    outcome = subprocess.run(
        [UNDERCROFT, "sql", *arguments, "--url", served.url, "--home", str(served.home)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd="/",
    )
    assert outcome.returncode == status, outcome.stderr
    assert "Traceback" not in outcome.stderr
    return outcome.stdout if status == 0 else outcome.stdout + outcome.stderr


class TestSql:
    def test_prints_a_table(self, served: Served):
        printed = run(served, "select 1 as one, null as none, '[red]' as plain")
        assert re.search(r"one\s+none\s+plain", printed)
        assert re.search(r"1\s+NULL\s+\[red\]", printed)
        assert "(1 row)" in printed

    def test_prints_csv_and_json(self, served: Served):
        query = "select 'a,b' as text, array[1, 2] as numbers, null as none"
        rows = list(csv.reader(io.StringIO(run(served, query, "--csv"))))
        assert rows == [["text", "numbers", "none"], ["a,b", "[1, 2]", ""]]
        body = json.loads(run(served, query, "--json"))
        assert body["results"][0]["rows"] == [["a,b", [1, 2], None]]

    def test_reads_a_file_and_standard_input(self, served: Served, tmp_path: Path):
        script = tmp_path / "script.sql"
        script.write_text("create table from_file (id int); insert into from_file values (1), (2)")
        assert run(served, "-f", str(script)).split("\n")[:2] == ["CREATE TABLE", "INSERT 2"]
        assert "(2 rows)" in run(served, stdin="select * from from_file")

    def test_says_what_failed_and_where(self, served: Served):
        refused = run(served, "select\n  nothing_like_it", status=1)
        assert 'column "nothing_like_it" does not exist (line 2, column 3)' in refused
        problem = json.loads(run(served, "selec", "--json", status=1))
        assert problem["status"] == 422

    def test_keeps_nothing_when_asked(self, served: Served):
        assert "read-only" in run(served, "create table kept (id int)", "--read-only", status=1)
        run(served, "create table kept (id int)", "--dry-run")
        assert "NULL" in run(served, "select to_regclass('public.kept')")


class TestGuide:
    def test_every_command_works(self, served: Served):
        """What a newcomer pastes, in the guide's order."""
        key = command("keys", "show", "--json", "--home", str(served.home)).stdout
        fences = re.findall(r"^```\n(\$ .*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
        commands = [one for fence in fences for one in COMMANDS.findall(fence)]
        assert len(commands) >= 3
        for line in commands:
            pasted = line.replace("http://127.0.0.1:8000", served.url)
            pasted = pasted.replace("curl ", "curl -sS --fail-with-body ", 1)
            outcome = subprocess.run(
                ["bash", "-c", pasted],
                capture_output=True,
                text=True,
                check=False,
                env=environment(
                    SERVICE=json.loads(key)["service"],
                    UNDERCROFT_URL=served.url,
                    UNDERCROFT_KEY=json.loads(key)["service"],
                    PATH=f"{UNDERCROFT.parent}:/usr/bin:/bin",
                ),
                cwd="/",
            )
            assert outcome.returncode == 0, f"{pasted}\n{outcome.stdout}{outcome.stderr}"
