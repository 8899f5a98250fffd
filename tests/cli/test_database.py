"""`undercroft db` and `undercroft doctor`, on a home of their own."""

import json
import os
from pathlib import Path

import pytest

from tests.fixtures.engines import SECRET_KEY, DatabaseFactory, EngineAddresses
from tests.fixtures.served import command, serving


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that a server has prepared."""
    home = tmp_path_factory.mktemp("cli") / "home"
    with serving(home, "--workers", "1"):
        pass
    return home


def output(*arguments: str, home: Path, status: int = 0, **extra: str) -> str:
    outcome = command(*arguments, "--home", str(home), **extra)
    assert outcome.returncode == status, outcome.stderr
    assert "Traceback" not in outcome.stderr
    return outcome.stdout + outcome.stderr


class TestMigrations:
    def test_a_served_home_is_at_the_newest_revision(self, home: Path):
        history = json.loads(command("db", "history", "--json").stdout)
        assert output("db", "current", home=home).strip() == history[-1]["revision"]

    def test_the_schema_is_what_the_models_say(self, home: Path):
        assert "is what the models say" in output("db", "check", home=home)

    def test_an_unknown_revision_is_one_sentence(self, home: Path):
        assert "no-such" in output("db", "upgrade", "no-such", home=home, status=1)


class TestCopies:
    def test_a_copy_brings_back_what_was_there(self, home: Path, tmp_path: Path):
        copy = tmp_path / "a copy.dump"
        keys = output("keys", "show", home=home)
        output("db", "dump", str(copy), home=home)
        output("db", "reset", "--yes", home=home)
        output("db", "restore", "--yes", str(copy), home=home)
        assert output("keys", "show", home=home) == keys

    def test_a_broken_copy_changes_nothing(self, home: Path, tmp_path: Path):
        broken = tmp_path / "broken.dump"
        broken.write_bytes(b"not a dump at all")
        keys = output("keys", "show", home=home)
        assert "pg_restore" in output("db", "restore", "--yes", str(broken), home=home, status=1)
        assert output("keys", "show", home=home) == keys

    def test_nothing_is_replaced_under_a_running_server(self, home: Path):
        with serving(home, "--workers", "1") as served:
            assert f"pid {served.process.pid}" in output(
                "db", "reset", "--yes", home=home, status=1
            )
            assert output("db", "current", home=home)


class TestServerOfOnesOwn:
    def test_a_dump_is_made_although_the_first_pg_dump_is_too_old(
        self, engines: EngineAddresses, make_database: DatabaseFactory, tmp_path: Path
    ):
        old = tmp_path / "bin"
        old.mkdir()
        (old / "pg_dump").write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6'\n")
        (old / "pg_dump").chmod(0o755)
        elsewhere = self._elsewhere(engines, make_database())
        path = f"{old}:{os.environ['PATH']}"
        copy = tmp_path / "copy"
        output("db", "dump", str(copy), home=tmp_path, PATH=path, **elsewhere)
        assert copy.read_bytes().startswith(b"PGDMP")

    def test_event_triggers_are_installed_by_a_superuser(
        self, engines: EngineAddresses, make_database: DatabaseFactory, tmp_path: Path
    ):
        name = make_database()
        elsewhere = self._elsewhere(engines, name)
        url = engines.superuser_database_url(name)
        said = output("db", "triggers", home=tmp_path, SUPERUSER_DATABASE_URL=url, **elsewhere)
        assert "installed" in said
        as_owner = engines.database_url(name)
        refused = output("db", "triggers", "--url", as_owner, home=tmp_path, status=1, **elsewhere)
        assert "superuser" in refused or "owner" in refused

    def _elsewhere(self, engines: EngineAddresses, name: str) -> dict[str, str]:
        return {
            "DATABASE_URL": engines.database_url(name),
            "REDIS_URL": engines.cache_url,
            "SECRET_KEY": SECRET_KEY,
        }


class TestDoctor:
    def test_finds_nothing_wrong_with_a_served_home(self, home: Path):
        findings = json.loads(output("doctor", "--port", "0", "--json", home=home))
        assert {found["name"] for found in findings if found["level"] == "fail"} == set()
        assert {"Database", "Cache", "Schema", "Clock", "Disk"} <= {f["name"] for f in findings}

    def test_secrets_that_others_can_read_are_a_failure(self, home: Path):
        secrets = home / "secrets.json"
        secrets.chmod(0o644)
        assert "chmod 600" in output("doctor", home=home, status=1)
        secrets.chmod(0o600)

    def test_a_database_that_does_not_answer_is_a_failure(self, tmp_path: Path):
        elsewhere = {
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
            "REDIS_URL": "redis://127.0.0.1:1",
        }
        report = output("doctor", home=tmp_path, status=1, **elsewhere)
        assert "Check DATABASE_URL" in report
        assert "Set SECRET_KEY" in report
        assert "made at the first start" not in report
