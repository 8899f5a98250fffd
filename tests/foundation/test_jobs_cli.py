"""`undercroft jobs` as a script and a person use it."""

import json

import pytest
from typer.testing import CliRunner

from tests.fixtures.engines import EngineAddresses
from tests.foundation.jobs_support import Queue
from undercroft.cli.jobs import app

DEAD = """
    INSERT INTO undercroft.pgqueuer (priority, status, entrypoint, payload, attempts)
    VALUES (0, 'failed', 'test.greet', '{"name": "Ada"}', 7) RETURNING id
"""


class CommandLine:
    """The commands make an event loop each, so the tests around them have none."""

    def __init__(self, queue: Queue, engines: EngineAddresses) -> None:
        self.database = queue.url.partition("@/")[2].partition("?")[0]
        self.engines = engines

    def __call__(self, *arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == status, result.output
        return result.output

    def kill_a_job(self) -> None:
        self.engines.execute(DEAD, database=self.database)

    def ids(self) -> list[int]:
        return [entry["id"] for entry in json.loads(self("list", "--json"))]


@pytest.fixture
def command(
    queue: Queue, engines: EngineAddresses, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    monkeypatch.setenv("DATABASE_URL", queue.url)
    monkeypatch.setenv("REDIS_URL", "redis://nowhere")
    monkeypatch.setenv("UNDERCROFT_HOME", str(tmp_path / "home"))
    return CommandLine(queue, engines)


class TestJobs:
    def test_says_when_there_is_nothing(self, command):
        assert command("list") == "No dead jobs.\n"
        assert command("list", "--json") == "[]\n"

    def test_lists_for_people_and_for_scripts(self, command):
        command.kill_a_job()
        (entry,) = json.loads(command("list", "--json"))
        assert (entry["name"], entry["arguments"], entry["attempts"]) == (
            "test.greet",
            {"name": "Ada"},
            8,
        )
        assert "test.greet" in command("list")
        assert "name=Ada" in command("list", "--name", "test.greet")
        assert command("list", "--name", "test.other") == "No dead jobs.\n"

    @pytest.mark.parametrize(("verb", "done"), [("retry", "requeued"), ("discard", "discarded")])
    def test_decides_about_several(self, command, verb: str, done: str):
        command.kill_a_job()
        command.kill_a_job()
        ids = command.ids()
        assert json.loads(command(verb, *map(str, ids), "--json")) == {done: ids}
        assert command.ids() == []

    @pytest.mark.parametrize("verb", ["retry", "discard"])
    def test_changes_nothing_when_one_is_unknown(self, command, verb: str):
        command.kill_a_job()
        (job_id,) = command.ids()
        assert "99999" in command(verb, str(job_id), "99999", status=1)
        assert command.ids() == [job_id]

    def test_asks_for_an_id(self, command):
        command("retry", status=2)
