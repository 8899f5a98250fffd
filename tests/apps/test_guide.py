"""The ten-minute guide, done as it says: the app it ends with passes its own tests."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from undercroft import kit
from undercroft.cli.main import app as command_line

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "apps.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
ENTRY_POINT = "[undercroft.apps]\nbookshelf = bookshelf:APP\n"


class Newcomer:
    """Follows the guide: runs its commands in a shell, writes its files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(directory),
            "PYTHONPATH": str(directory / "installed"),
        }

    def pretend_to_install(self) -> None:
        """What `pip install --editable .` leaves behind, without a network."""
        marks = self.directory / "installed" / "bookshelf-0.1.0.dist-info"
        marks.mkdir(parents=True)
        (marks / "METADATA").write_text("Metadata-Version: 2.1\nName: bookshelf\nVersion: 0.1.0\n")
        (marks / "entry_points.txt").write_text(ENTRY_POINT)
        self.environment["PYTHONPATH"] += f":{self.directory / 'bookshelf'}"

    def run(self, script: str) -> str:
        if script.startswith("export "):
            name, _, value = script.removeprefix("export ").strip().partition("=")
            self.environment[name] = value
            return ""
        done = subprocess.run(
            ["sh", "-ec", script],
            cwd=self.directory / "bookshelf" if self.made else self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def write(self, text: str) -> None:
        first, _, rest = text.partition("\n")
        path, _, end = first.removeprefix("# ").partition(", ")
        file = self.directory / "bookshelf" / path
        before = f"{file.read_text()}\n\n" if end == "at the end" else ""
        file.write_text(before + rest)

    @property
    def made(self) -> bool:
        return (self.directory / "bookshelf").exists()


def test_the_guide_can_be_followed(tmp_path: Path):
    newcomer, output = Newcomer(tmp_path), ""
    for language, text in BLOCK.findall(GUIDE.read_text()):
        match language:
            case "sh":
                output = newcomer.run(text)
            case "console":
                newcomer.pretend_to_install()
            case "python":
                newcomer.write(text)
    assert "6 passed" in output
    versions = sorted((tmp_path / "bookshelf" / "bookshelf" / "migrations").glob("*.py"))
    assert len(versions) == 2
    assert "pinned" in versions[-1].read_text() + versions[0].read_text()


def test_the_guide_names_the_whole_public_surface():
    table = GUIDE.read_text().partition("## What you may import")[2]
    assert set(re.findall(r"`(\w+)`", table)) >= set(kit.__all__)


@pytest.mark.parametrize(
    "name",
    [
        *("Bad", "1st", "a-b", "x" * 32, "../x", "", "pg_shop"),
        *("auth", "storage", "cache", "doctor", "users", "api_keys", "catalog"),
        *("import", "order", "left", "json", "httpx", "tests"),
    ],
)
def test_names_that_cannot_be_are_refused(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command_line, ["app", "new", "--", name])
    assert done.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(command_line, ["app", "new", "shelf"]).exit_code == 0
    again = CliRunner().invoke(command_line, ["app", "new", "shelf"])
    assert again.exit_code == 2
    assert "is not empty" in again.output


def test_apps_are_listed_with_what_is_on(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNDERCROFT_APPS", "catalog,no.such")
    listed = json.loads(CliRunner().invoke(command_line, ["app", "list", "--json"]).output)
    assert {line["name"]: line["on"] for line in listed} == {
        "catalog": True,
        "no.such": True,
        "sites": False,
        "streams": False,
    }
    assert "'no.such' cannot be loaded" in listed[1]["summary"]
    assert CliRunner().invoke(command_line, ["--help"]).exit_code == 0
