"""`undercroft settings`, and the pages made of it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.fixtures.served import command
from undercroft.cli.reference import Setting, every_setting, pages
from undercroft.cli.settings import _value
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import load_settings
from undercroft.foundation.settings.unread import unread_names

REPOSITORY = Path(__file__).parents[2]


def shown() -> dict[Setting, str | None]:
    settings = load_settings(_env_file=None)
    return {setting: _value(settings, setting.path) for setting in every_setting()}


class TestReference:
    @pytest.mark.parametrize("path", pages())
    def test_is_up_to_date(self, path: Path):
        """Run `make docs` when this fails."""
        assert (REPOSITORY / path).read_text() == pages()[path]

    def test_every_default_can_be_set(self, monkeypatch: pytest.MonkeyPatch):
        """A line of .env.example says what is in force already, so it changes nothing."""
        plain = shown()
        for setting in plain:
            if setting.default:
                monkeypatch.setenv(setting.name, setting.default)
        assert shown() == plain

    @pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5", 1.5), ("PT2M", 120)])
    def test_times_are_seconds_or_iso_8601(
        self, text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("UNDERCROFT_CACHE__TIMEOUT", text)
        assert load_settings(_env_file=None).cache.timeout == timedelta(seconds=seconds)

    @pytest.mark.parametrize("name", ["HTTP__TRUSTED_PROXIES", "AUTH__PROVIDERS"])
    def test_what_is_no_json_is_said_by_its_name(self, name: str):
        refused = command("doctor", **{f"UNDERCROFT_{name}": "10.0.0.7"})
        assert refused.returncode == 2
        assert refused.stderr.startswith(
            f"undercroft: UNDERCROFT_{name}: lists and objects are JSON"
        )
        assert "Traceback" not in refused.stderr

    @pytest.mark.parametrize(
        ("backend", "name"),
        [("s3", "S3__BUCKET"), ("gcs", "GCS__BUCKET"), ("azure", "AZURE__CONTAINER")],
    )
    def test_a_store_without_a_bucket_is_refused(self, backend: str, name: str):
        with pytest.raises(SettingsInvalid, match=f"UNDERCROFT_STORAGE__{name} must be set"):
            load_settings(storage={"backend": backend}, _env_file=None)

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

    def test_names_what_nothing_reads(self):
        outcome = command("settings", "show", UNDERCROFT_SQL__TIMEOUTS="1", REDIS_URI="redis://x")
        assert outcome.returncode == 2  # a wrong name in a group that exists is refused
        outcome = command("settings", "show", UNDERCROFT_PROT="9000", REDIS_URI="redis://x")
        assert outcome.stderr.splitlines() == [
            "REDIS_URI is not a setting: did you mean REDIS_URL?",
            "UNDERCROFT_PROT is not a setting.",
        ]

    def test_says_nothing_of_other_programs_names(self):
        given = ["MODEL", "DJANGO_SECRET_KEY", "PGDATABASE_URL_OLD", "EMAIL_HOSTNAME_LOCAL", "HOST"]
        ours = [
            "UNDERCROFT_KEY",
            "UNDERCROFT_AUTH__PROVIDERS__ACME__CLIENT_ID",
            "UNDERCROFT_STORAGE",
        ]
        assert unread_names([*given, *ours]) == []
