"""PocketBase with the same table, the same rows and a rule that looks at who calls."""

import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.load import Request

SUPERUSER = {"identity": "root@example.com", "password": "Correct-Horse-42"}
USER = {"email": "ada@example.com", "password": "Correct-Horse-42"}
BATCH = 1000
AMOUNTS = 100
MAKER = "m00000000000001"
RULE = "owner = @request.auth.id"
SIGNED_IN = '@request.auth.id != ""'


class PocketBase:
    name = "PocketBase"
    FILES = "/api/collections/docs/records"

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.directory = Path(tempfile.mkdtemp(prefix="bench-pocketbase-"))
        # PocketBase keeps migrations beside its data and would find those of an earlier run.
        self.data = self.directory / "data"
        self.binary = str(Path(sys.executable).with_name("pocketbase"))
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command("superuser", "upsert", *SUPERUSER.values())
        self._start()
        self._create()
        self._stop()
        self._fill()
        self._start()
        self.headers = {"Authorization": self._token("users", USER["email"], USER["password"])}

    def close(self) -> None:
        self._stop()
        shutil.rmtree(self.directory)

    def read_one(self) -> Request:
        path = "/api/collections/items/records/r{n14}"
        return Request("GET", self.url, path, self.headers, numbers=self.rows)

    def list_30(self) -> Request:
        path = "/api/collections/items/records?perPage=30&skipTotal=1&sort=-id"
        return Request("GET", self.url, path, self.headers)

    def filtered_page(self) -> Request:
        path = "/api/collections/items/records?filter=(amount={n})&perPage=30&skipTotal=1&sort=-id"
        return Request("GET", self.url, path, self.headers, numbers=AMOUNTS - 1)

    def embedded(self) -> Request:
        path = "/api/collections/items/records/r{n14}?expand=maker"
        return Request("GET", self.url, path, self.headers, numbers=self.rows)

    def insert_one(self) -> Request:
        body = f'{{"owner":"{self.user_id}","name":"new","amount":7,"note":"written by wrk"}}'
        headers = self.headers | {"Content-Type": "application/json"}
        return Request("POST", self.url, "/api/collections/items/records", headers, body)

    def login(self) -> Request:
        body = f'{{"identity":"{USER["email"]}","password":"{USER["password"]}"}}'
        path = "/api/collections/users/auth-with-password"
        return Request("POST", self.url, path, {"Content-Type": "application/json"}, body)

    def make_files(self, content: str) -> str:
        """A collection of files that signed-in people may add to; returns the path of one."""
        headers = {"Authorization": self._token("_superusers", *SUPERUSER.values())}
        docs: dict[str, object] = {
            "name": "docs",
            "type": "base",
            "fields": [{"name": "file", "type": "file", "maxSelect": 1}],
            "createRule": SIGNED_IN,
        }
        self._post("/api/collections", headers, docs)
        files = {"file": ("a.bin", content.encode())}
        made = httpx.post(self.url + self.FILES, headers=headers, files=files).raise_for_status()
        record = made.json()
        return f"/api/files/docs/{record['id']}/{record['file']}"

    def batch_body(self) -> dict[str, object]:
        """A thousand inserts in one transaction, the most we let it take at once."""
        body = {"owner": self.user_id, "name": "bulk", "amount": 7, "note": "x" * 40}
        one = {"method": "POST", "url": "/api/collections/items/records", "body": body}
        return {"requests": [one] * BATCH}

    def _start(self) -> None:
        arguments = ("serve", "--http", f"127.0.0.1:{self.port}")
        self.process = subprocess.Popen(
            [self.binary, *arguments, "--dir", str(self.data)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            try:
                httpx.get(f"{self.url}/api/health").raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return
        raise SystemExit("PocketBase does not start.")

    def _stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def _command(self, *arguments: str) -> None:
        command = [self.binary, *arguments, "--dir", str(self.data)]
        subprocess.run(command, check=True, capture_output=True)

    def _token(self, collection: str, identity: str, password: str) -> str:
        path = f"{self.url}/api/collections/{collection}/auth-with-password"
        answer = httpx.post(path, json={"identity": identity, "password": password})
        return str(answer.raise_for_status().json()["token"])

    def _create(self) -> None:
        headers = {"Authorization": self._token("_superusers", *SUPERUSER.values())}
        batch = {"batch": {"enabled": True, "maxRequests": BATCH, "timeout": 60}}
        httpx.patch(f"{self.url}/api/settings", headers=headers, json=batch).raise_for_status()
        makers: dict[str, object] = {
            "name": "makers",
            "type": "base",
            "fields": [{"name": "name", "type": "text"}],
        }
        signed_in: dict[str, object] = {"listRule": SIGNED_IN, "viewRule": SIGNED_IN}
        maker_id = self._post("/api/collections", headers, makers | signed_in)["id"]
        self._post("/api/collections/makers/records", headers, {"id": MAKER, "name": "a maker"})
        fields: list[dict[str, object]] = [
            {"name": "owner", "type": "text"},
            {"name": "name", "type": "text"},
            {"name": "amount", "type": "number"},
            {"name": "note", "type": "text"},
            {"name": "maker", "type": "relation", "collectionId": maker_id, "maxSelect": 1},
        ]
        rules: dict[str, object] = {"listRule": RULE, "viewRule": RULE, "createRule": RULE}
        items: dict[str, object] = {"name": "items", "type": "base", "fields": fields} | rules
        items["indexes"] = ["CREATE INDEX items_amount ON items (amount, id)"]
        self._post("/api/collections", headers, items)
        user = USER | {"passwordConfirm": USER["password"], "verified": True}
        self.user_id = self._post("/api/collections/users/records", headers, user)["id"]

    def _post(self, path: str, headers: dict[str, str], body: dict[str, object]) -> dict[str, Any]:
        answer = httpx.post(self.url + path, headers=headers, json=body, timeout=30)
        if answer.is_error:
            raise SystemExit(f"PocketBase refused {path}: {answer.text}")
        return dict(answer.json())

    def _fill(self) -> None:
        rows = (
            (f"r{number:014d}", self.user_id, f"name {number}", number % AMOUNTS, "x" * 40, MAKER)
            for number in range(1, self.rows + 1)
        )
        with sqlite3.connect(self.data / "data.db") as database:
            database.executemany(
                "INSERT INTO items (id, owner, name, amount, note, maker) VALUES (?,?,?,?,?,?)",
                rows,
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
