"""`undercroft rest` over an existing database, with PostgREST's variables."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.live import eventually
from tests.fixtures.rows import RowsDatabase, make_client
from tests.fixtures.standalone import SECRET, bearer, serving
from undercroft.data.rest import OpenApiMode, TransactionEnd
from undercroft.data.rest.standalone import InvalidSettingError, create_standalone_app
from undercroft.data.rest.standalone.environment import read_settings
from undercroft.data.rest.standalone.settings import Listen, PoolSettings
from undercroft.data.schema import QualifiedName


class TestServing:
    async def test_reads_as_anon_and_as_a_role(self, rows_database: RowsDatabase):
        async with serving(rows_database) as client:
            response = await client.get("/readers?id=eq.1")
            assert response.json() == [{"id": 1, "name": "Ada"}]
            assert (await client.get("/members_only")).status_code == 401
            response = await client.get("/members_only", headers=bearer(role="rows_member"))
            assert response.json() == [{"id": 1}]
            response = await client.get(
                "/diaries?select=id", headers=bearer(role="rows_member", sub="ben")
            )
            assert response.json() == [{"id": 3}]
            response = await client.get("/readers", headers=bearer(role="no_such_role"))
            assert (response.status_code, response.json()["code"]) == (401, "22023")

    async def test_without_prepared_statements(self, rows_database: RowsDatabase):
        async with serving(rows_database, DB_PREPARED_STATEMENTS="false") as client:
            response = await client.get("/readers?id=eq.1")
            assert response.json() == [{"id": 1, "name": "Ada"}]
            response = await client.get("/rpc/who", headers=bearer(role="rows_member"))
            assert response.json() == "rows_member"
            accept = {"Accept": "application/vnd.pgrst.object+json"}
            response = await client.get("/readers", headers=accept)
            assert response.json()["code"] == "PGRST116"

    async def test_variables_reach_the_engine(self, rows_database: RowsDatabase):
        async with serving(
            rows_database,
            DB_MAX_ROWS="2",
            DB_AGGREGATES_ENABLED="true",
            DB_PRE_REQUEST="hooks.before_request",
            DB_TX_END="rollback",
            APP_SETTINGS_COLOUR="blue",
            SERVER_TIMING_ENABLED="true",
        ) as client:
            response = await client.get("/readers")
            assert len(response.json()) == 2
            assert "server-timing" in response.headers
            assert (await client.get("/readers?select=count()")).json() == [{"count": 3}]
            assert (await client.get("/readers", headers={"X-Refuse": "1"})).status_code == 418
            response = await client.get("/rpc/setting?name=app.settings.COLOUR")
            assert response.json() == "blue"
            await client.post("/publishers", json={"id": 50, "name": "gone"})
        assert await rows_database.run("select count(*) from library.publishers") == 2

    async def test_a_changed_schema_is_heard_of(self, rows_database: RowsDatabase):
        async with serving(rows_database) as client:
            assert (await client.get("/latecomers")).status_code == 404
            await rows_database.run("create table library.latecomers (id int)")
            await rows_database.run("grant select on library.latecomers to rows_anon")
            await rows_database.run("notify pgrst, 'reload schema'")
            try:
                for _ in range(300):
                    response = await client.get("/latecomers")
                    if response.status_code == 200:
                        break
                    await asyncio.sleep(0.1)
                assert response.json() == []
            finally:
                await rows_database.run("drop table library.latecomers")

    async def test_settings_in_the_database_win(self, rows_database: RowsDatabase):
        await rows_database.run(
            f"alter role rows_login in database {rows_database.name} set pgrst.db_max_rows = '1'"
        )
        try:
            async with serving(rows_database, DB_MAX_ROWS="2") as client:
                assert len((await client.get("/readers")).json()) == 1
            async with serving(rows_database, DB_MAX_ROWS="2", DB_CONFIG="false") as client:
                assert len((await client.get("/readers")).json()) == 2
        finally:
            await rows_database.run(
                f"alter role rows_login in database {rows_database.name} reset pgrst.db_max_rows"
            )

    async def test_no_database_is_503_until_there_is_one(self, rows_database: RowsDatabase):
        missing = rows_database.url.replace(rows_database.name, "not_there_yet")
        app = create_standalone_app({"PGRST_DB_URI": missing, "PGRST_DB_ANON_ROLE": "rows_anon"})
        await app.start()
        try:
            response = await make_client(app).get("/readers")
            assert (response.status_code, response.json()["code"]) == (503, "PGRST002")
            assert response.headers["retry-after"] == "1"
        finally:
            await app.stop()

    async def test_a_lost_connection_is_replaced(self, rows_database: RowsDatabase):
        async with serving(rows_database, DB_POOL="1") as client:
            await client.get("/readers")
            await rows_database.run(
                "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity"
                " where application_name = 'undercroft rest' and datname = current_database()"
            )

            async def is_back() -> bool:
                return (await client.get("/readers")).status_code == 200

            await eventually(is_back)

    async def test_lifespan(self, rows_database: RowsDatabase):
        app = create_standalone_app({"PGRST_DB_URI": rows_database.url})
        received = asyncio.Queue[dict[str, str]]()
        sent: list[str] = []

        async def send(message: Any) -> None:
            sent.append(message["type"])

        await received.put({"type": "lifespan.startup"})
        await received.put({"type": "lifespan.shutdown"})
        await app({"type": "lifespan"}, received.get, send)
        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


class TestSettings:
    def test_defaults(self):
        settings = read_settings({})
        assert settings.rest.schemas == ("public",)
        assert settings.rest.extra_search_path == ("public",)
        assert settings.rest.tx_end is TransactionEnd.COMMIT
        assert settings.rest.openapi_mode is OpenApiMode.FOLLOW_PRIVILEGES
        assert settings.rest.cors_allowed_origins == ()
        assert settings.pool == PoolSettings(10, 10, 1800, 30, recovers=True)
        assert settings.server == Listen("!4", 3000)
        assert settings.admin == Listen("!4")
        assert settings.jwt.role_claim_key == ".role"
        assert settings.channel == "pgrst"

    def test_everything(self, tmp_path: Path):
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        settings = read_settings(
            {
                "PGRST_DB_URI": "postgresql://u@h/d",
                "PGRST_DB_SCHEMAS": "a, b",
                "PGRST_DB_EXTRA_SEARCH_PATH": "",
                "PGRST_DB_ANON_ROLE": "anon",
                "PGRST_DB_PRE_REQUEST": "s.f",
                "PGRST_DB_TX_END": "rollback-allow-override",
                "PGRST_DB_MAX_ROWS": "10",
                "PGRST_DB_AGGREGATES_ENABLED": "True",
                "PGRST_DB_PLAN_ENABLED": "1",
                "PGRST_DB_ROOT_SPEC": "root",
                "PGRST_DB_POOL": "5",
                "PGRST_DB_PREPARED_STATEMENTS": "false",
                "PGRST_DB_CHANNEL": "other",
                "PGRST_JWT_SECRET": f"@{tmp_path}/secret",
                "PGRST_JWT_AUD": "https://x.y",
                "PGRST_JWT_ROLE_CLAIM_KEY": ".a.b",
                "PGRST_OPENAPI_MODE": "ignore-privileges",
                "PGRST_OPENAPI_SERVER_PROXY_URI": "https://x.y:1/z",
                "PGRST_OPENAPI_SECURITY_ACTIVE": "true",
                "PGRST_SERVER_HOST": "127.0.0.1",
                "PGRST_SERVER_PORT": "3001",
                "PGRST_SERVER_CORS_ALLOWED_ORIGINS": "http://a, http://b",
                "PGRST_SERVER_TRACE_HEADER": "X-Request-Id",
                "PGRST_SERVER_TIMING_ENABLED": "true",
                "PGRST_APP_SETTINGS_JWT": "x",
                "PGRST_LOG_LEVEL": "info",
            }
        )
        rest = settings.rest
        assert (rest.schemas, rest.extra_search_path) == (("a", "b"), ())
        assert rest.pre_request == QualifiedName("s", "f")
        assert rest.root_spec == QualifiedName("", "root")
        assert rest.tx_end is TransactionEnd.ROLLBACK_ALLOW_OVERRIDE
        assert (rest.max_rows, rest.aggregates_enabled, rest.plan_enabled) == (10, True, True)
        assert not rest.prepared_statements
        assert rest.openapi_host == "127.0.0.1:3001"
        assert rest.cors_allowed_origins == ("http://a", "http://b")
        assert rest.app_settings == (("app.settings.JWT", "x"),)
        assert settings.jwt.secret == SECRET
        assert settings.jwt.audience == "https://x.y"
        assert (settings.channel, settings.pool.size) == ("other", 5)
        assert (settings.server.host, settings.server.port) == ("127.0.0.1", 3001)
        assert settings.admin.host == "127.0.0.1"

    def test_old_names(self):
        settings = read_settings({"PGRST_DB_SCHEMA": "a", "PGRST_ROLE_CLAIM_KEY": ".x"})
        assert (settings.rest.schemas, settings.jwt.role_claim_key) == (("a",), ".x")

    def test_what_is_no_number_or_flag_is_not_set(self):
        settings = read_settings(
            {"PGRST_DB_POOL": "many", "PGRST_DB_MAX_ROWS": "", "PGRST_DB_PLAN_ENABLED": "perhaps"}
        )
        assert (settings.pool.size, settings.rest.max_rows) == (10, None)
        assert not settings.rest.plan_enabled

    @pytest.mark.parametrize("value", ["true", "TRUE", "1", "7", "on"])
    def test_flags(self, value: str):
        assert read_settings({"PGRST_DB_PLAN_ENABLED": value}).rest.plan_enabled

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("DB_TX_END", "maybe", "Invalid transaction termination"),
            ("OPENAPI_MODE", "on", "Invalid openapi-mode"),
            ("LOG_LEVEL", "loud", "Invalid logging level"),
            ("CLIENT_ERROR_VERBOSITY", "chatty", "Invalid client-error-verbosity"),
            ("DB_SCHEMAS", "public,pg_catalog", "does not allow schema: 'pg_catalog'"),
            ("OPENAPI_SERVER_PROXY_URI", "nowhere", "Malformed proxy uri"),
            ("JWT_AUD", "://x", "jwt-aud should be"),
            ("JWT_AUD", "x://%zz", "jwt-aud should be"),
            ("JWT_SECRET", "@/not/there", "Cannot read /not/there"),
            ("JWT_SECRET", "too short", "at least 32 characters"),
            ("JWT_ROLE_CLAIM_KEY", "role", "failed to parse role-claim-key value"),
            ("ADMIN_SERVER_PORT", "3000", "cannot be the same as server-port"),
            ("SERVER_PORT", "70000", "server-port must be between 0 and 65535"),
            ("SERVER_PORT", "-1", "server-port must be between 0 and 65535"),
            ("ADMIN_SERVER_PORT", "65536", "admin-server-port must be between 0 and 65535"),
            ("DB_POOL", "-5", "db-pool cannot be below 0"),
            ("LOG_QUERY", "all", "Invalid SQL logging value"),
            ("SERVER_UNIX_SOCKET_MODE", "rw", "not an octal"),
            ("SERVER_UNIX_SOCKET_MODE", "077", "between 600 and 777"),
        ],
    )
    def test_bad_values(self, name: str, value: str, message: str):
        environ = {"PGRST_JWT_SECRET": SECRET, f"PGRST_{name}": value}
        with pytest.raises(InvalidSettingError, match=message):
            create_standalone_app(environ)
