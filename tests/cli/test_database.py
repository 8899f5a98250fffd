"""`undercroft db` and `undercroft doctor`, on a home of their own."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import ANY

import pytest

from tests.fixtures.actors import unique
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

    def test_scripts_ask_in_json(self, home: Path):
        current = json.loads(output("db", "current", "--json", home=home))
        assert current == {"revision": current["newest"], "newest": ANY, "up_to_date": True}
        checked = json.loads(output("db", "check", "--json", home=home))
        assert checked == {"matches": True, "differences": []}

    def test_with_everything_elsewhere_no_secrets_are_made(
        self, engines: EngineAddresses, make_database: DatabaseFactory, tmp_path: Path
    ):
        elsewhere = {
            "DATABASE_URL": engines.database_url(make_database()),
            "REDIS_URL": engines.cache_url,
        }
        output("db", "current", home=tmp_path, SECRET_KEY=SECRET_KEY, **elsewhere)
        assert not (tmp_path / "secrets.json").exists()
        output("db", "current", home=tmp_path, **elsewhere)
        assert (tmp_path / "secrets.json").exists()

    def test_a_schema_that_is_not_there_yet_is_one_sentence(self, tmp_path: Path):
        new = tmp_path / "new"
        output("db", "current", home=new)
        assert "undercroft db upgrade" in output("keys", "show", home=new, status=1)

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
        # Its answer is standard output; beside it a loaded machine may earn a warning.
        outcome = command("doctor", "--port", "0", "--json", "--home", str(home))
        assert outcome.returncode == 0, outcome.stderr
        findings = json.loads(outcome.stdout)
        assert {found["name"] for found in findings if found["level"] == "fail"} == set()
        assert {"Database", "Cache", "Schema", "Clock", "Disk"} <= {f["name"] for f in findings}

    def test_secrets_that_others_can_read_are_a_failure(self, home: Path):
        secrets = home / "secrets.json"
        secrets.chmod(0o644)
        assert "chmod 600" in output("doctor", home=home, status=1)
        secrets.chmod(0o600)

    def test_says_what_the_developer_lacks_and_has_too_much(
        self, engines: EngineAddresses, make_database: DatabaseFactory, tmp_path: Path
    ):
        """A login made by somebody else, on a server where we are no superuser."""
        name = make_database()
        with self._login(engines, name) as (login, elsewhere):
            assert "there is no role" in self._finding("Developer", tmp_path, elsewhere)
            engines.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'one'")
            assert "cannot log in" in self._finding("Developer", tmp_path, elsewhere)
            engines.execute(f"ALTER ROLE {login} PASSWORD 'its own'")
            assert "logs in" in self._finding("Developer", tmp_path, elsewhere, level="ok")
            rights = self._finding("Its rights", tmp_path, elsewhere)
            assert "CREATE on the database" in rights
            assert "undercroft.as_developer" in rights
            refused = output("db", "upgrade", home=tmp_path, status=1, **elsewhere)
            assert f"GRANT {login} TO undercroft" in refused
            engines.execute(f"GRANT {login} TO undercroft")
            engines.execute("CREATE TABLE public.others ()", database=name)
            output("db", "upgrade", home=tmp_path, **elsewhere)
            assert self._finding("Its rights", tmp_path, elsewhere, level="ok")
            assert "OWNER TO" in self._finding("Ownership", tmp_path, elsewhere, level="warn")
            engines.execute(f"GRANT service_role TO {login}; ALTER ROLE {login} BYPASSRLS")
            limits = self._finding("Its limits", tmp_path, elsewhere)
            assert f'REVOKE "service_role" FROM "{login}"' in limits
            assert "NOBYPASSRLS" in limits

    def test_says_whose_sessions_could_pass_row_security(
        self, engines: EngineAddresses, make_database: DatabaseFactory, tmp_path: Path
    ):
        """One login for the rows API, as it was set before there were two."""
        name, login = make_database(), unique("rows_")
        url = engines.database_url(name)
        own = re.sub(r"//[^@]*@", f"//{login}:its%20own@", url)
        elsewhere = {"DATABASE_URL": url, "REDIS_URL": engines.cache_url, "SECRET_KEY": SECRET_KEY}
        assert self._finding("Visitor login", tmp_path, elsewhere, level="ok")
        one = elsewhere | {"UNDERCROFT_DATABASE__AUTHENTICATOR_URL": own}
        assert "cannot log in" in self._finding("Service login", tmp_path, one)
        engines.execute(f"CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'its own'")
        try:
            assert f'GRANT service_role TO "{login}"' in self._finding(
                "Service login", tmp_path, one
            )
            engines.execute(f"GRANT anon, authenticated, service_role TO {login}")
            engines.execute(f"GRANT USAGE ON SCHEMA undercroft TO {login}", database=name)
            assert self._finding("Service login", tmp_path, one, level="ok")
            shared = self._finding("Visitor login", tmp_path, one, level="warn")
            assert "may become service_role" in shared
            engines.execute(f"ALTER ROLE {login} SET lock_timeout = '1ms'")
            assert "RESET ALL" in self._finding("Service login", tmp_path, one, level="warn")
        finally:
            engines.execute(f"DROP OWNED BY {login} CASCADE", database=name)
            engines.execute(f"DROP ROLE {login}")

    @contextmanager
    def _login(self, engines: EngineAddresses, name: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Its name is given, the role is not made; both are gone at the end."""
        login = unique("developer_")
        url = engines.database_url(name)
        own = re.sub(r"//[^@]*@", f"//{login}:its%20own@", url)
        yield (
            login,
            {
                "DATABASE_URL": url,
                "UNDERCROFT_DATABASE__DEVELOPER_URL": own,
                "REDIS_URL": engines.cache_url,
                "SECRET_KEY": SECRET_KEY,
            },
        )
        engines.execute(f"DROP OWNED BY {login} CASCADE", database=name)
        engines.execute(f"DROP ROLE {login}")

    def _finding(
        self, name: str, home: Path, elsewhere: dict[str, str], *, level: str = "fail"
    ) -> str:
        outcome = command("doctor", "--port", "0", "--json", "--home", str(home), **elsewhere)
        found = next(f for f in json.loads(outcome.stdout) if f["name"] == name)
        assert found["level"] == level, found
        return f"{found['found']} {found['advice']}"

    def test_names_what_is_misspelt(self, tmp_path: Path):
        elsewhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x", "SECRET_KYE": "x"}
        found = self._finding(
            "Settings", tmp_path, {**elsewhere, "UNDERCROFT_RATE_LIMIT__LOGIN": ""}, level="warn"
        )
        assert "SECRET_KYE is not a setting: did you mean SECRET_KEY?" in found
        assert "did you mean UNDERCROFT_RATE_LIMITS__LOGIN?" in found

    def test_production_without_a_secret_key_fails_once(self, tmp_path: Path):
        elsewhere = {
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
            "ENVIRONMENT": "production",
        }
        outcome = command("doctor", "--json", "--home", str(tmp_path), **elsewhere)
        failed = [f["name"] for f in json.loads(outcome.stdout) if f["level"] == "fail"]
        assert (outcome.returncode, failed) == (1, ["Secret key"])

    def test_a_database_that_does_not_answer_is_a_failure(self, tmp_path: Path):
        elsewhere = {
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
            "REDIS_URL": "redis://127.0.0.1:1",
        }
        report = output("doctor", home=tmp_path, status=1, **elsewhere)
        assert "Check DATABASE_URL" in report
        assert "Set SECRET_KEY" in report
        assert "made at the first start" not in report
