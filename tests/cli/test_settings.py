"""`undercroft settings`, and the pages made of it."""

import json
from pathlib import Path

import pytest

from tests.fixtures.served import command
from undercroft.cli.reference import every_setting, pages

REPOSITORY = Path(__file__).parents[2]


class TestReference:
    @pytest.mark.parametrize("path", pages())
    def test_is_up_to_date(self, path: Path):
        """Run `make docs` when this fails."""
        assert (REPOSITORY / path).read_text() == pages()[path]

    def test_no_default_is_a_secret(self):
        assert not [s for s in every_setting() if s.kind == "Secret" and s.default]


class TestShow:
    def test_masks_secrets(self):
        secret = "long enough to be a secret key, they say"
        outcome = command("settings", "show", SECRET_KEY=secret)
        assert secret not in outcome.stdout
        assert "* secret_key" in outcome.stdout

    def test_prints_json_for_scripts(self):
        outcome = command("settings", "show", "--json", MODE="prod/v1")
        assert json.loads(outcome.stdout)["mode"] == "prod/v1"
