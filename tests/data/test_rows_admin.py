"""Around `undercroft rest`: the admin server, the log of answers, signals, sockets."""

import http.client
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.fixtures.rows import RowsDatabase, make_client
from tests.fixtures.standalone import (
    bearer,
    free_port,
    process,
    ran,
    started,
    until,
    variables,
)
from undercroft.data.rest.standalone import InvalidSettingError
from undercroft.data.rest.standalone.admin import AdminApp
from undercroft.data.rest.standalone.app import StandaloneApp
from undercroft.data.rest.standalone.listening import listening, shown
from undercroft.data.rest.standalone.settings import Listen


@pytest.fixture
def bound() -> Iterator[socket.socket]:
    with listening(Listen("127.0.0.1", 0)) as bound:
        assert bound is not None
        yield bound


def admin_of(app: StandaloneApp, bound: socket.socket) -> httpx.AsyncClient:
    return make_client(AdminApp(app, bound))


class TestAdmin:
    async def test_alive_and_ready(self, rows_database: RowsDatabase, bound: socket.socket):
        async with started(rows_database) as app:
            admin = admin_of(app, bound)
            assert (await admin.get("/live")).status_code == 200
            assert (await admin.get("/ready")).status_code == 200
            assert (await admin.get("/elsewhere")).status_code == 404
            bound.close()
            assert (await admin.get("/live")).status_code == 500
            assert (await admin.get("/ready")).status_code == 500

    async def test_not_ready_without_a_database(
        self, rows_database: RowsDatabase, bound: socket.socket
    ):
        missing = rows_database.url.replace(rows_database.name, "not_there_yet")
        async with started(rows_database, DB_URI=missing) as app:
            assert (await admin_of(app, bound).get("/ready")).status_code == 503
            assert (await admin_of(app, bound).get("/live")).status_code == 200
            assert (await admin_of(app, bound).get("/schema_cache")).status_code == 404

    # Five of six are asked again by the shortcut, which is closed where answers are logged.
    @pytest.mark.parametrize(("level", "asked"), [("error", 11), ("info", 6)])
    async def test_metrics(
        self, rows_database: RowsDatabase, bound: socket.socket, level: str, asked: int
    ):
        bounds = {"DB_POOL": "4", "JWT_CACHE_MAX_ENTRIES": "1"}
        async with started(rows_database, LOG_LEVEL=level, **bounds) as app:
            rows = make_client(app)
            for sub in ("a", "a", "b"):
                await rows.get("/readers", headers=bearer(role="rows_member", sub=sub))
            for number in ("1", "2", "two"):  # new, known, and starting over
                path = f"/readers?id=eq.{number}"
                await rows.get(path, headers=bearer(role="rows_member", sub="b"))
            response = await admin_of(app, bound).get("/metrics")
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        lines = response.text.splitlines()
        for line in (
            'pgrst_schema_cache_loads_total{status="SUCCESS"} 1.0',
            'pgrst_schema_cache_loads_total{status="FAIL"} 0.0',
            "pgrst_db_pool_max 4.0",
            "pgrst_db_pool_available 4.0",
            "pgrst_db_pool_waiting 0.0",
            "pgrst_db_pool_timeouts_total 0.0",
            f"pgrst_jwt_cache_requests_total {asked}.0",
            f"pgrst_jwt_cache_hits_total {asked - 2}.0",
            "pgrst_jwt_cache_evictions_total 1.0",
        ):
            assert line in lines

    async def test_settings_are_not_told(self, rows_database: RowsDatabase, bound: socket.socket):
        async with started(rows_database) as app:
            assert (await admin_of(app, bound).get("/config")).status_code == 404

    async def test_schema(self, rows_database: RowsDatabase, bound: socket.socket):
        async with started(rows_database) as app:
            document = (await admin_of(app, bound).get("/schema_cache")).json()
        tables = [name for name, _ in document["dbTables"]]
        assert {"qiName": "books", "qiSchema": "library"} in tables


class TestLog:
    @pytest.mark.parametrize(
        ("level", "paths"),
        [
            ("crit", []),
            ("error", []),
            ("warn", ["/bookz"]),
            ("info", ["/readers?id=eq.1", "/bookz"]),
        ],
    )
    async def test_which_answers(
        self,
        rows_database: RowsDatabase,
        capsys: pytest.CaptureFixture[str],
        level: str,
        paths: list[str],
    ):
        async with started(rows_database, LOG_LEVEL=level) as app:
            rows = make_client(app)
            await rows.get("/readers?id=eq.1", headers={"User-Agent": 'a "b"'})
            await rows.get("/bookz", headers=bearer(role="rows_member"))
            asks = {"Origin": "http://a", "Access-Control-Request-Method": "GET"}
            await rows.options("/readers", headers=asks)
        lines = capsys.readouterr().out.splitlines()
        assert [line.split('"')[1].split(" ")[1] for line in lines] == paths
        if level == "info":
            assert " - rows_anon [" in lines[0]
            assert lines[0].endswith('HTTP/1.1" 200 23 "" "a \\"b\\""')
            assert " - rows_member [" in lines[1]

    @pytest.mark.parametrize(
        ("level", "wanted", "count"),
        [("info", "main-query", 2), ("warn", "true", 1), ("info", "disabled", 0)],
    )
    async def test_queries(
        self,
        rows_database: RowsDatabase,
        capsys: pytest.CaptureFixture[str],
        level: str,
        wanted: str,
        count: int,
    ):
        async with started(rows_database, LOG_LEVEL=level, LOG_QUERY=wanted) as app:
            rows = make_client(app)
            for path in ("/readers?id=eq.1", "/readers?id=eq.one", "/bookz"):
                await rows.get(path)
        lines = [line for line in capsys.readouterr().err.splitlines() if "select" in line.lower()]
        assert len(lines) == count
        assert all('"library"."readers"' in line for line in lines)

    async def test_who_cannot_be_told(
        self, rows_database: RowsDatabase, capsys: pytest.CaptureFixture[str]
    ):
        async with started(rows_database, LOG_LEVEL="warn") as app:
            await make_client(app).get("/readers", headers={"Authorization": "Bearer x"})
        assert " - - [" in capsys.readouterr().out


class TestPool:
    async def test_connections_that_rest_are_closed(self, rows_database: RowsDatabase):
        async with started(rows_database) as app:
            rows = make_client(app)
            assert (await rows.get("/readers")).status_code == 200
            app.pool.retire(older_than=60, rested=1)
            assert len(app.pool._idle) == 1
            app.pool.retire(older_than=60, rested=1)
            assert (len(app.pool._idle), app.pool.available) == (0, app.pool.size)
            assert (await rows.get("/readers")).status_code == 200
            app.pool.retire(older_than=0, rested=1)
            assert len(app.pool._idle) == 0


class TestSockets:
    def test_a_path_with_its_mode(self, tmp_path: Path):
        path = tmp_path / "rows.sock"
        with socket.socket(socket.AF_UNIX) as earlier:
            earlier.bind(str(path))
        assert path.exists()
        with listening(Listen(unix_socket=str(path), unix_socket_mode=0o606)) as bound:
            assert bound is not None
            assert (path.stat().st_mode & 0o777, shown(bound)) == (0o606, str(path))
        assert not path.exists()

    def test_what_is_no_socket_stays(self, tmp_path: Path):
        path = tmp_path / "precious"
        path.write_text("x")
        with (
            pytest.raises(InvalidSettingError, match="Address already in use"),
            listening(Listen(unix_socket=str(path))),
        ):
            pass
        assert path.read_text() == "x"

    @pytest.mark.parametrize(
        ("host", "address"),
        [("!4", "0.0.0.0"), ("*", "0.0.0.0"), ("127.0.0.1", "127.0.0.1")],  # noqa: S104
    )
    def test_hosts(self, host: str, address: str):
        with listening(Listen(host, 0)) as bound:
            assert bound is not None
            assert shown(bound).rpartition(":")[0] == address

    def test_a_shared_port(self):
        with listening(Listen("127.0.0.1", 0, shares_port=True)) as first:
            assert first is not None
            port = first.getsockname()[1]
            with listening(Listen("127.0.0.1", port, shares_port=True)):
                pass
            with (
                pytest.raises(InvalidSettingError, match="Address already in use"),
                listening(Listen("127.0.0.1", port)),
            ):
                pass

    def test_nowhere(self):
        with listening(Listen()) as bound:
            assert bound is None


class TestProcess:
    def test_the_admin_server_and_readiness(self, rows_database: RowsDatabase):
        port, admin_port = free_port(), free_port()
        settings = variables(
            rows_database,
            SERVER_HOST="localhost",
            SERVER_PORT=str(port),
            ADMIN_SERVER_PORT=str(admin_port),
        )
        admin, rows = f"http://localhost:{admin_port}", f"http://localhost:{port}"
        with process(settings):
            until(lambda: httpx.get(f"{admin}/ready").status_code == 200)
            asked = ran(settings, "--ready")
            assert (asked.returncode, asked.stdout) == (0, f"OK: {admin}/ready\n")
            answer = httpx.get(f"{rows}/readers?id=eq.1")
            assert answer.json() == [{"id": 1, "name": "Ada"}]
            assert answer.headers["server"] == ran(settings, "--version").stdout.strip()
            assert answer.headers["server"].startswith("postgrest/14 (undercroft")

    async def test_signals(self, rows_database: RowsDatabase):
        port = free_port()
        settings = variables(rows_database, SERVER_PORT=str(port), DB_CHANNEL_ENABLED="false")
        rows = f"http://127.0.0.1:{port}"
        with process(settings) as running:
            until(lambda: httpx.get(f"{rows}/signalled").status_code == 404)
            await rows_database.run("create table library.signalled (id int)")
            await rows_database.run("grant select on library.signalled to rows_anon")
            of_role = f"alter role rows_login in database {rows_database.name}"
            try:
                running.send_signal(signal.SIGUSR1)
                until(lambda: httpx.get(f"{rows}/signalled").status_code == 200)
                await rows_database.run(f"{of_role} set pgrst.openapi_mode = 'perhaps'")
                running.send_signal(signal.SIGUSR2)  # refused, and nothing changes
                await rows_database.run(f"{of_role} set pgrst.openapi_mode = 'disabled'")
                running.send_signal(signal.SIGUSR2)
                until(lambda: httpx.get(rows).status_code == 404)
            finally:
                await rows_database.run("drop table library.signalled")
                await rows_database.run(f"{of_role} reset pgrst.openapi_mode")

    def test_at_a_path(self, rows_database: RowsDatabase, tmp_path: Path):
        path = tmp_path / "rows.sock"
        settings = variables(rows_database, SERVER_UNIX_SOCKET=str(path))
        with process(settings):
            until(path.exists)
            connection = http.client.HTTPConnection("localhost")
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(str(path))
            with closing(connection):
                connection.request("GET", "/readers?id=eq.1")
                assert connection.getresponse().read() == b'[{"id":1,"name":"Ada"}]'
                connection.sock.sendall("GET /readers?name=eq.Zoë HTTP/1.0\r\n\r\n".encode())
                assert connection.sock.makefile("rb").read().endswith(b"\r\n\r\n[]")

    def test_without_recovery(self, rows_database: RowsDatabase):
        settings = variables(
            rows_database,
            DB_URI="postgresql://nobody@127.0.0.1:1/x",
            DB_POOL_AUTOMATIC_RECOVERY="false",
            SERVER_PORT=str(free_port()),
        )
        ended = ran(settings)
        assert ended.returncode == 1
        assert "Automatic recovery is disabled" in ended.stderr
