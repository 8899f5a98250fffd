"""`undercroft db seed`, `db revision` and `routes`: what a newcomer runs first."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from alembic.util import CommandError

from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from tests.fixtures.served import UNDERCROFT
from undercroft.foundation.db import migrate


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own command
        [UNDERCROFT, *arguments],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "COLUMNS": "200", **environment},
        check=False,
        timeout=60,
    )


def test_seed_can_be_repeated(engines: EngineAddresses, make_database: DatabaseFactory):
    environment = {
        "DATABASE_URL": engines.database_url(make_database()),
        "REDIS_URL": engines.cache_url,
        "SECRET_KEY": "a secret key for tests, forty characters",
        "FIRST_SUPERUSER_EMAIL": "root@example.com",
        "FIRST_SUPERUSER_PASSWORD": "Correct-Horse-42",
    }
    first = run("db", "seed", **environment)
    assert first.returncode == 0, first.stderr
    assert "root@example.com" in first.stdout
    assert "Correct-Horse-42" not in first.stdout
    again = run("db", "seed", "--json", **environment)
    assert json.loads(again.stdout) == {"superuser": None}, again.stderr


class TestRevision:
    def test_follows_the_newest(self, tmp_path: Path):
        path = migrate.write_revision("Members have a title.", tmp_path)
        text = path.read_text()
        compile(text, str(path), "exec")
        newest = migrate.history()[-1][0]
        assert f'down_revision = "{newest}"' in text
        assert text.startswith('"""Members have a title."""')
        assert path.name.endswith("_members_have_a_title.py")

    def test_needs_words_and_overwrites_nothing(self, tmp_path: Path):
        with pytest.raises(CommandError):
            migrate.write_revision("…", tmp_path)
        migrate.write_revision("Twice.", tmp_path)
        with pytest.raises(CommandError, match="exists"):
            migrate.write_revision("Twice.", tmp_path)


def test_routes_are_listed_with_their_rules():
    found = run("routes", "older", "--json")
    assert found.returncode == 1
    found = run("routes", "activity:delete", "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == [
        {
            "method": "DELETE",
            "path": "/api/v1/activity",
            "name": "purge_activity_log",
            "access": "activity:delete",
        }
    ]


def test_completion_is_offered():
    shown = run("--help")
    assert "--install-completion" in shown.stdout, shown.stderr
