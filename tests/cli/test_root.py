"""The root command."""

import subprocess
import sys

from tests.fixtures.served import command

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
