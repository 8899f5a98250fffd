"""A node behind a real PgBouncer in transaction mode, where one is installed."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from socket import create_connection, socket
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from tests.fixtures.actors import unique
from tests.fixtures.engines import SECRET_KEY, DatabaseFactory, EngineAddresses
from tests.fixtures.served import Served, command, serving, wait_until
from undercroft.foundation.db import logins

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer (Debian: pgbouncer)")

# Ten server connections for everybody: what a transaction left behind would be met soon.
CONFIGURATION = """
[databases]
{name} = host={sockets} dbname={name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = 10
max_client_conn = 300
ignore_startup_parameters = extra_float_digits
"""


@pytest.fixture(scope="module")
def pooled(
    engines: EngineAddresses,
    make_database: DatabaseFactory,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Served, dict[str, str]]]:
    """A node, and the environment that commands need to find its database."""
    name, directory = make_database(), tmp_path_factory.mktemp("pooler")
    own = Path(tempfile.mkdtemp(prefix="undercroft-pooler-"))  # pytest's are closed to others
    direct = engines.database_url(name)
    port = _free_port()
    process = _start_pooler(engines, name, own, port)
    user = urlsplit(direct).username
    password = urlsplit(direct).password
    settings = {
        "DATABASE_URL": f"postgresql://{user}:{password}@127.0.0.1:{port}/{name}",
        "UNDERCROFT_DATABASE__LISTEN_URL": direct,
        "UNDERCROFT_DATABASE__POOLED": "true",
        "REDIS_URL": engines.cache_url,
        "SECRET_KEY": SECRET_KEY,
        "UNDERCROFT_CACHE__PREFIX": unique("pooled"),
    }
    try:
        with serving(directory / "home", "--workers", "1", **settings) as served:
            yield served, settings
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(own)


def _start_pooler(
    engines: EngineAddresses, name: str, directory: Path, port: int
) -> "subprocess.Popen[bytes]":
    sockets = Path(parse_qs(urlsplit(engines.database_url(name)).query)["host"][0])
    users = directory / "users"
    users.write_text("".join(f'"{role}" "{word}"\n' for role, word in _logins(engines, name)))
    text = CONFIGURATION.format(name=name, sockets=sockets, port=port, users=users)
    (directory / "pgbouncer.ini").write_text(text)
    # It refuses to be root, and only the engines' account may enter their directory.
    owner = pwd.getpwuid(sockets.stat().st_uid).pw_name
    for path in (directory, *directory.iterdir()):
        shutil.chown(path, owner)
    assert PGBOUNCER
    options = ["-u", owner] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [PGBOUNCER, "-q", *options, str(directory / "pgbouncer.ini")], stderr=subprocess.DEVNULL
    )
    wait_until(lambda: _answers(port), "the pooler answers")
    return process


def _logins(engines: EngineAddresses, name: str) -> Iterator[tuple[str, str]]:
    settings = engines.settings(name)
    for login in (logins.visitor, logins.authenticator, logins.developer):
        found = login(settings)
        assert found.password
        yield found.role, found.password
    own = urlsplit(engines.database_url(name))
    yield unquote(own.username or ""), unquote(own.password or "")


def _free_port() -> int:
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_the_first_five_minutes_work(pooled: tuple[Served, dict[str, str]]):
    served, settings = pooled
    shown = command("keys", "show", "--json", "--home", str(served.home), **settings)
    service = {"apikey": json.loads(shown.stdout)["service"]}
    table = unique("notes")
    columns = [
        {"name": "id", "type": "bigserial", "primary_key": True},
        {"name": "owner", "type": "uuid", "default": "auth.uid()"},
    ]
    people = [
        {"identifier": f"{unique(name)}@example.com", "password": "Analytical-Engine-1843"}
        for name in ("ada", "grace")
    ]
    with httpx.Client(base_url=served.url, timeout=30) as client:

        def post(path: str, body: object, headers: dict[str, str] | None = None) -> httpx.Response:
            answer = client.post(path, json=body, headers=headers)
            assert answer.is_success, answer.text
            return answer

        post("/api/v1/tables", {"name": table, "columns": columns}, service)
        policy = {"name": "own", "using": "owner = (select auth.uid())"}
        post(f"/api/v1/tables/{table}/policies", policy, service)
        bearers = []
        for person in people:
            post("/api/v1/auth/register", person)
            token = post("/api/v1/auth/login", person).json()["access_token"]
            bearers.append({"Authorization": f"Bearer {token}"})

        def own_rows(number: int) -> int:
            """Each sees what it wrote and nothing of the other, whose connection it shares."""
            bearer = bearers[number % 2]
            assert client.post(f"/rest/v1/{table}", json={}, headers=bearer).status_code == 201
            rows = client.get(f"/rest/v1/{table}", headers=bearer).json()
            assert len({row["owner"] for row in rows}) == 1
            return len(rows)

        with ThreadPoolExecutor(16) as pool:
            seen = list(pool.map(own_rows, range(60)))
        assert max(seen) == 30
        assert client.get(f"/rest/v1/{table}", headers=bearers[0]).status_code == 200
        client.post("/api/v1/auth/logout", headers=bearers[0])
        wait_until(
            lambda: client.get(f"/rest/v1/{table}", headers=bearers[0]).status_code == 401,
            "the token is out",
        )
