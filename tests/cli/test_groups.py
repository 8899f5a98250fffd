"""`undercroft groups` and `users` on one database."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.fixtures.actors import unique
from tests.fixtures.app import PASSWORD, SUPERUSER
from undercroft.cli.main import app, main
from undercroft.foundation.problems import Problem
from undercroft.foundation.settings import Settings


class Shell:
    def __call__(self, *arguments: str) -> Any:
        """What a command prints with --json."""
        result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.output)


@pytest.fixture
def shell(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Shell:
    assert settings.database.url
    assert settings.cache.url
    assert settings.secret_key
    monkeypatch.setenv("DATABASE_URL", settings.database.url.get_secret_value())
    monkeypatch.setenv("REDIS_URL", settings.cache.url.get_secret_value())
    monkeypatch.setenv("SECRET_KEY", settings.secret_key.get_secret_value())
    return Shell()


def test_join_and_leave(shell: Shell):
    someone = f"{unique('shell')}@example.com"
    shell("users", "create", someone, "--password", PASSWORD)
    assert shell("groups", "add", "moderator", someone)["groups"] == ["moderator", "user"]
    assert someone in [one["identifier"] for one in shell("groups", "members", "moderator")]
    assert shell("groups", "remove", "moderator", someone)["groups"] == ["user"]
    listed = {line["codename"]: line for line in shell("groups", "list")}
    assert listed["super_admin"]["members"] >= 1
    assert "users:read" in listed["moderator"]["permissions"]


def test_the_last_superuser_stays(shell: Shell):
    for one in shell("groups", "members", "super_admin"):
        if one["identifier"] != SUPERUSER:
            shell("groups", "remove", "super_admin", one["identifier"])
    with pytest.raises(Problem, match="Somebody must remain"):
        shell("groups", "remove", "super_admin", SUPERUSER)


def test_unknown_groups_are_told(shell: Shell):
    with pytest.raises(Problem):
        shell("groups", "members", "kings")


def test_a_refusal_says_what_is_wrong_and_what_to_do(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    weak = ["undercroft", "users", "create", f"{unique('weak')}@example.com", "--password", "x"]
    monkeypatch.setattr("sys.argv", weak)
    with pytest.raises(SystemExit, match="1"):
        main()
    said = capsys.readouterr().err
    assert "The password is not accepted. Use at least 12 characters" in said
