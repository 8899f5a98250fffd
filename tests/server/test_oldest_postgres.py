"""A node on the oldest PostgreSQL that we promise to work with, where one is installed.

POSTGRES_PROGRAMS names the directory of another version's programs to try that one instead.
"""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.fixtures.actors import unique
from tests.fixtures.engines import SECRET_KEY, EngineAddresses
from tests.fixtures.served import command, serving, wait_until
from undercroft.cli.checks.database import OLDEST_MAJOR

OTHER = os.environ.get("POSTGRES_PROGRAMS")
PROGRAMS = Path(OTHER or f"/usr/lib/postgresql/{OLDEST_MAJOR}/bin")
pytestmark = pytest.mark.skipif(
    not (PROGRAMS / "initdb").exists(), reason=f"no PostgreSQL {OLDEST_MAJOR} (Debian: postgresql)"
)
SERVICE_ROLE = "CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS"
FACTS = {"identifier": "ada@example.com", "password": "Analytical-Engine-1843"}


@dataclass
class OldServer:
    directory: Path
    settings: dict[str, str]

    def execute(self, sql: str) -> None:
        """Run a statement as the superuser."""
        arguments = ["-h", str(self.directory), "-U", "postgres", "-qXc", sql, "postgres"]
        run_as_owner([str(PROGRAMS / "psql"), *arguments])


def owner() -> str:
    """Who runs it: PostgreSQL refuses to be root."""
    return "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def run_as_owner(arguments: list[str]) -> None:
    user = owner() if os.geteuid() == 0 else None
    subprocess.run(arguments, user=user, cwd="/", check=True, capture_output=True)


@pytest.fixture
def old(engines: EngineAddresses) -> Iterator[OldServer]:
    directory = Path(tempfile.mkdtemp(prefix="undercroft-oldest-"))  # pytest's are closed to others
    shutil.chown(directory, owner())
    data = directory / "data"
    options = ["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"]
    run_as_owner([str(PROGRAMS / "initdb"), "-D", str(data), "-U", "postgres", *options])
    flags = f"-c listen_addresses= -c fsync=off -c wal_level=logical -k {directory}"
    control = [str(PROGRAMS / "pg_ctl"), "-D", str(data), "-w"]
    run_as_owner([*control, "-o", flags, "-l", str(directory / "log"), "start"])
    server = OldServer(
        directory,
        {
            "DATABASE_URL": f"postgresql://app@/app?host={directory}",
            "REDIS_URL": engines.cache_url,
            "SECRET_KEY": SECRET_KEY,
            "UNDERCROFT_CACHE__PREFIX": unique("oldest"),
        },
    )
    try:
        server.execute("CREATE ROLE app LOGIN CREATEROLE BYPASSRLS REPLICATION")
        server.execute("CREATE DATABASE app OWNER app")
        yield server
    finally:
        run_as_owner([*control, "-m", "immediate", "stop"])
        shutil.rmtree(directory)


@pytest.mark.skipif(OTHER is not None, reason="later versions let us make it ourselves")
def test_what_only_a_superuser_can_do_there_is_said(old: OldServer, tmp_path: Path):
    home = str(tmp_path / "home")
    refused = command("db", "upgrade", "--home", home, **old.settings)
    assert refused.returncode != 0
    assert SERVICE_ROLE in refused.stderr
    doctor = command("doctor", "--home", home, **old.settings)
    assert doctor.returncode != 0
    assert SERVICE_ROLE in " ".join(doctor.stdout.split())


def test_the_first_five_minutes_work(old: OldServer, tmp_path: Path):
    if OTHER is None:
        old.execute(SERVICE_ROLE)
    home = tmp_path / "home"
    upgraded = command("db", "upgrade", "--home", str(home), **old.settings)
    assert upgraded.returncode == 0, upgraded.stderr
    with (
        serving(home, "--workers", "1", **old.settings) as served,
        httpx.Client(base_url=served.url, timeout=30) as client,
    ):
        shown = command("keys", "show", "--json", "--home", str(home), **old.settings)
        service = {"apikey": json.loads(shown.stdout)["service"]}
        columns = [
            {"name": "id", "type": "bigserial", "primary_key": True},
            {"name": "owner", "type": "uuid", "default": "auth.uid()"},
        ]
        table = {"name": "notes", "columns": columns}
        assert client.post("/api/v1/tables", json=table, headers=service).status_code == 201
        policy = {"name": "own", "using": "owner = (select auth.uid())"}
        path = "/api/v1/tables/notes/policies"
        assert client.post(path, json=policy, headers=service).status_code == 201
        assert client.post("/api/v1/auth/register", json=FACTS).status_code == 201
        token = client.post("/api/v1/auth/login", json=FACTS).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.post("/rest/v1/notes", json={}, headers=bearer).status_code == 201
        assert [row["id"] for row in client.get("/rest/v1/notes", headers=bearer).json()] == [1]
        assert client.get("/rest/v1/notes", headers={"apikey": "x"}).status_code == 401
        client.post("/api/v1/auth/logout", headers=bearer)
        wait_until(
            lambda: client.get("/rest/v1/notes", headers=bearer).status_code == 401,
            "the token is out",
        )
