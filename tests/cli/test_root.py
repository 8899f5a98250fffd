"""The root command."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tests.fixtures.served import command
from undercroft.cli.main import app as command_line

HEAVY = {"sqlalchemy", "fastapi", "pydantic", "asyncpg", "undercroft.app"}


class TestRoot:
    def test_help_imports_nothing_heavy(self):
        script = "import sys, undercroft.cli; print(*sys.modules)"
        outcome = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert not HEAVY & set(outcome.stdout.split())

    def test_without_a_command_help_is_shown(self):
        outcome = command()
        assert "serve" in outcome.stdout
        assert "doctor" in outcome.stdout

    def test_prints_its_version(self):
        assert command("--version").stdout.strip() == "0.1.0"

    def test_a_wrong_setting_is_named_as_it_was_written(self):
        outcome = command("settings", "show", DATABASE_URL="localhost:5432/app")
        assert outcome.returncode == 2
        assert "undercroft: DATABASE_URL: it must begin with postgresql://" in outcome.stderr

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("doctor", "--port", "99999"), "65535"),
            (("jobs", "retry", "9" * 30), "less than or equal"),
            (("sql", "--file", sys.executable), "not text"),
            (("sql", "select 1", "--url", "localhost:8000"), "must begin with http"),
            (("worker", "--metrics-port", "0"), "greater than or equal"),
        ],
    )
    def test_what_cannot_be_meant_is_a_wrong_usage(self, words, said):
        outcome = CliRunner().invoke(command_line, list(words))
        assert outcome.exit_code == 2, outcome.output
        assert said in outcome.output

    @pytest.mark.parametrize(
        "words",
        [
            ("keys", "show"),
            ("outbox",),
            ("users", "promote", "ada@example.com"),
            ("jobs", "list"),
            ("activity", "list"),
            ("storage", "fsck"),
            ("types", "database.ts"),
        ],
    )
    def test_a_command_where_there_is_no_home_says_so_and_makes_none(self, tmp_path, words):
        home = tmp_path / "home"
        outcome = command(*words, UNDERCROFT_HOME=str(home))
        assert outcome.returncode == 1
        assert f"There is no home at {home}" in outcome.stderr
        assert not home.exists()
