"""PostgREST's configuration file, and its settings shown again."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from typer.testing import CliRunner

from tests.fixtures.rows import RowsDatabase
from tests.fixtures.standalone import SECRET, serving, variables
from undercroft.cli.main import app as cli
from undercroft.data.rest.standalone import InvalidSettingError
from undercroft.data.rest.standalone.config_file import read_config_file
from undercroft.data.rest.standalone.connection_string import connect_arguments
from undercroft.data.rest.standalone.dump import dump_config, example_config
from undercroft.data.rest.standalone.environment import read_settings

FILE = r"""
# where the rows are
db-uri = "postgresql://u@h/d"   # not a secret
db-schemas="one, two"
db-max-rows = 100
db-plan-enabled = true
openapi-server-proxy-uri = "https://x.y/\u007a"
jwt-secret = "$(THE_SECRET)"
app.settings.price = "10 $$ \"net\""
role-claim-key = ".a"
something-newer = 1
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "rows.conf").write_text(FILE)
    return tmp_path / "rows.conf"


class TestFile:
    def test_everything(self, config: Path):
        settings = read_settings({"THE_SECRET": SECRET}, config_file=config)
        assert settings.db_uri == "postgresql://u@h/d"
        assert settings.rest.schemas == ("one", "two")
        assert (settings.rest.max_rows, settings.rest.plan_enabled) == (100, True)
        assert settings.rest.openapi_server_proxy_uri == "https://x.y/z"
        assert settings.rest.app_settings == (("app.settings.price", '10 $ "net"'),)
        assert (settings.jwt.secret, settings.jwt.role_claim_key) == (SECRET, ".a")

    def test_variables_win_and_the_database_over_both(self, config: Path):
        environ = {
            "THE_SECRET": SECRET,
            "PGRST_DB_MAX_ROWS": "7",
            "PGRST_APP_SETTINGS_price": "9",
            "PGRST_APP_SETTINGS_size": "1",
        }
        settings = read_settings(environ, config_file=config)
        assert settings.rest.max_rows == 7
        assert settings.rest.app_settings == (
            ("app.settings.price", "9"),
            ("app.settings.size", "1"),
        )
        assert read_settings(environ, {"db_max_rows": "3"}, config).rest.max_rows == 3

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("\ndb-schemas = [1]", "line 2, is no setting"),
            ("db-schemas", "line 1, is no setting"),
            ('db-schemas = "open', "line 1, is no setting"),
            ("db-schemas = public", "line 1, is no setting"),
            ('db-schemas = "$(NOT_THERE)"', r"\$NOT_THERE, which is not set"),
        ],
    )
    def test_broken(self, tmp_path: Path, text: str, message: str):
        (tmp_path / "broken").write_text(text)
        with pytest.raises(InvalidSettingError, match=message):
            read_config_file(tmp_path / "broken", {})

    def test_missing(self, tmp_path: Path):
        with pytest.raises(InvalidSettingError, match="Cannot read"):
            read_config_file(tmp_path / "nowhere", {})


class TestShown:
    def test_is_what_was_read(self, config: Path, tmp_path: Path):
        shown = dump_config(read_settings({"THE_SECRET": SECRET}, config_file=config))
        lines = shown.splitlines()
        assert lines == sorted(lines)
        assert 'db-schemas = "one,two"' in lines
        assert "db-plan-enabled = true" in lines
        assert "db-max-rows = 100" in lines
        assert 'admin-server-port = ""' in lines
        assert r'app.settings.price = "10 $ \"net\""' in lines
        assert r'jwt-role-claim-key = ".\"a\""' in lines
        again = tmp_path / "again"
        again.write_text(shown.replace("$", "$$"))
        assert dump_config(read_settings({}, config_file=again)) == shown

    def test_example_says_what_is_so_anyway(self, tmp_path: Path):
        plain = read_settings({})
        example = tmp_path / "example"
        example.write_text(example_config(plain))
        assert read_config_file(example, {}) == {}
        lines = [line.removeprefix("# ") for line in example.read_text().splitlines()[1:]]
        assert "\n".join(lines) + "\n" == dump_config(plain)


class TestCommands:
    def test_settings_with_those_of_the_database(
        self, rows_database: RowsDatabase, monkeypatch: pytest.MonkeyPatch
    ):
        for name, value in variables(rows_database, DB_PRE_CONFIG="hooks.settings").items():
            monkeypatch.setenv(name, value)
        shown = CliRunner().invoke(cli, ["rest", "--dump-config"])
        assert 'server-trace-header = "x-of-the-database"' in shown.output

    def test_settings_without_a_database(self, monkeypatch: pytest.MonkeyPatch, config: Path):
        monkeypatch.setenv("PGRST_DB_URI", "postgresql://x@127.0.0.1:1/x")
        monkeypatch.setenv("THE_SECRET", SECRET)
        shown = CliRunner().invoke(cli, ["rest", str(config), "--dump-config"])
        assert (shown.exit_code, "db-max-rows = 100" in shown.output) == (0, True)

    def test_schema(self, rows_database: RowsDatabase, monkeypatch: pytest.MonkeyPatch):
        for name, value in variables(rows_database).items():
            monkeypatch.setenv(name, value)
        document = orjson.loads(CliRunner().invoke(cli, ["rest", "--dump-schema"]).output)
        tables = [name for name, _ in document["dbTables"]]
        assert {"qiName": "books", "qiSchema": "library"} in tables
        routines = [name for name, _ in document["dbRoutines"]]
        assert {"qiName": "add", "qiSchema": "library"} in routines

    def test_no_schema_without_a_database(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PGRST_DB_URI", "postgresql://x@127.0.0.1:1/x")
        result = CliRunner().invoke(cli, ["rest", "--dump-schema"])
        assert (result.exit_code, "Cannot read the database" in result.stderr) == (1, True)

    def test_help(self):
        assert "configuration file" in CliRunner().invoke(cli, ["rest", "-h"]).output

    def test_example(self):
        assert '# db-schemas = "public"' in CliRunner().invoke(cli, ["rest", "-e"]).output

    def test_a_wrong_setting(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setenv("PGRST_OPENAPI_MODE", "x")
        result = CliRunner().invoke(cli, ["rest", "--dump-config"])
        assert (result.exit_code, "Invalid openapi-mode" in result.stderr) == (1, True)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({}, "Admin server is not running. Please check admin-server-port config."),
            ({"ADMIN_SERVER_PORT": "1", "ADMIN_SERVER_HOST": "*"}, 'configured as "*"'),
            (
                {"ADMIN_SERVER_PORT": "1", "SERVER_HOST": "localhost"},
                "connection refused to http://localhost:1/ready",
            ),
        ],
    )
    def test_not_ready(
        self, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
    ):
        for name, value in settings.items():
            monkeypatch.setenv(f"PGRST_{name}", value)
        result = CliRunner().invoke(cli, ["rest", "--ready"])
        assert result.exit_code == 1
        assert message in result.stderr


class TestConnectionStrings:
    @pytest.mark.parametrize(
        ("text", "address", "application"),
        [
            ("postgresql://u@h/d", "postgresql://u@h/d", "undercroft rest"),
            (
                "postgresql://u@h/d?sslmode=require&channel_binding=require&keepalives=1",
                "postgresql://u@h/d?sslmode=require",
                "undercroft rest",
            ),
            ("postgres://u:a?b#c%40@h/d", "postgres://u:a%3Fb%23c%40@h/d", "undercroft rest"),
            ("postgresql:///?application_name=a&host=h", "postgresql:///?host=h", "a"),
            ("postgresql:///d?fallback_application_name=b", "postgresql:///d", "b"),
            (
                "host=/run user='a b' dbname=d port=1 sslmode=require gssencmode=disable",
                "postgresql://?host=%2Frun&user=a%20b&dbname=d&port=1&sslmode=require",
                "undercroft rest",
            ),
            ("host=h hostaddr=::1", "postgresql://?host=%3A%3A1", "undercroft rest"),
        ],
    )
    def test_both_forms(self, text: str, address: str, application: str):
        assert connect_arguments(text) == {
            "dsn": address,
            "server_settings": {"application_name": application},
        }

    def test_time_to_connect(self):
        assert connect_arguments("host=h connect_timeout=3")["timeout"] == 3
        assert "timeout" not in connect_arguments("host=h connect_timeout=0")

    async def test_pairs_connect(self, rows_database: RowsDatabase):
        parts = urlsplit(rows_database.url)
        pairs = f"user={parts.username} password={parts.password} dbname={parts.path[1:]}"
        for name, value in parse_qsl(parts.query):
            pairs += f" {name}='{value}'"
        if parts.hostname:
            pairs += f" host={parts.hostname} port={parts.port or 5432}"
        async with serving(rows_database, DB_URI=f"{pairs} keepalives=1") as client:
            assert (await client.get("/readers?id=eq.1")).json() == [{"id": 1, "name": "Ada"}]
