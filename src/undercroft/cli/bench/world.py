"""A table and an account of the benchmark's own, there for as long as it runs."""

import json
import random
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import httpx2

from undercroft.cli.bench.calls import Measured, Tally, request
from undercroft.cli.copies import run_script
from undercroft.cli.remote import address, fail, sentence_of, unreachable
from undercroft.foundation.db.logins import developer
from undercroft.foundation.embedded import EngineFailed
from undercroft.foundation.settings import Settings

COLUMNS = [
    {"name": "id", "type": "bigint", "primary_key": True, "identity": True},
    {"name": "owner", "type": "uuid", "nullable": False},
    {"name": "name", "type": "text", "nullable": False},
    {"name": "amount", "type": "integer", "nullable": False},
    {"name": "note", "type": "text", "nullable": False},
]
OWN = "owner = (select auth.uid())"
NOTE = "x" * 40
BATCH = 5000
# Ten a minute are allowed from one address, and one was needed to begin.
SIGN_INS = 6


@dataclass(slots=True)
class World:
    url: str
    table: str
    credentials: dict[str, str]
    user_id: str
    token: str

    def reads(self, rows: int) -> Iterator[bytes]:
        chosen = random.SystemRandom()
        while True:
            yield self._rows("GET", f"?id=eq.{chosen.randint(1, rows)}")

    def lists(self) -> Iterator[bytes]:
        return repeat(self._rows("GET", "?order=id.desc&limit=30"))

    def inserts(self) -> Iterator[bytes]:
        row = {"owner": self.user_id, "name": "new", "amount": 7, "note": "written by bench"}
        wanted = {"Content-Type": "application/json", "Prefer": "return=representation"}
        return repeat(self._rows("POST", "", wanted, json.dumps(row).encode()))

    def sign_ins(self) -> Measured:
        """A few, one after the other: the rate limit allows no storm, and each costs a hash."""
        tally, began = Tally([]), time.perf_counter()
        with httpx2.Client(timeout=60) as client:
            for _ in range(SIGN_INS):
                asked_at = time.perf_counter()
                answer = client.post(address(self.url, "/auth/login"), json=self.credentials)
                if answer.status_code == 429:
                    break
                if answer.is_error:
                    tally.failed += 1
                else:
                    tally.took.append(time.perf_counter() - asked_at)
        return tally.measured(time.perf_counter() - began)

    def _rows(
        self, method: str, query: str, more: dict[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        headers = {"Authorization": f"Bearer {self.token}"} | (more or {})
        return request(method, f"{self.url}/rest/v1/{self.table}{query}", headers, body)


@contextmanager
def opened(settings: Settings, url: str, operator: dict[str, str], rows: int) -> Iterator[World]:
    """The world, filled; at the end nothing of it is left but entries in the activity log."""
    name = f"bench_{secrets.token_hex(4)}"
    credentials = {"identifier": name, "password": f"{secrets.token_urlsafe(18)}-Aa1"}
    with httpx2.Client(headers=operator, timeout=120) as client:
        user_id = _ask(client, "POST", address(url, "/users"), credentials)["id"]
        try:
            _make_table(client, url, name)
            login = _ask(client, "POST", address(url, "/auth/login"), credentials)
            world = World(url, name, credentials, user_id, login["access_token"])
            _fill(client, world, rows)
            run_script(developer(settings).url, f"ANALYZE {name}")
            yield world
        except httpx2.TransportError as error:
            unreachable(url, error, "it was measured no further")
        finally:
            _remove(client, settings, url=url, name=name, user_id=user_id)


def _remove(
    client: httpx2.Client, settings: Settings, *, url: str, name: str, user_id: str
) -> None:
    """Also when the server or its database is gone, whose end is what the caller is told of."""
    with suppress(httpx2.TransportError):
        client.delete(address(url, f"/tables/{name}"))
        client.delete(address(url, f"/users/{user_id}"))
    assert settings.database.url
    # A deleted account waits for its grace to pass; nobody wants this one back.
    gone = f"DELETE FROM auth.users WHERE id = '{user_id}'"  # noqa: S608 - a UUID of ours
    try:
        run_script(developer(settings).url, f"DROP TABLE IF EXISTS {name}")
        run_script(settings.database.url.get_secret_value(), gone)
    except EngineFailed:
        print(f"undercroft: The table and the account {name} are left behind.", file=sys.stderr)


def _make_table(client: httpx2.Client, url: str, name: str) -> None:
    _ask(client, "POST", address(url, "/tables"), {"name": name, "columns": COLUMNS})
    policy = {"name": "own rows", "using": OWN}
    _ask(client, "POST", address(url, f"/tables/{name}/policies"), policy)


def _fill(client: httpx2.Client, world: World, rows: int) -> None:
    for first in range(0, rows, BATCH):
        body = [
            {"owner": world.user_id, "name": f"name {n}", "amount": n % 100, "note": NOTE}
            for n in range(first, min(rows, first + BATCH))
        ]
        _ask(client, "POST", f"{world.url}/rest/v1/{world.table}", body)


def _ask(client: httpx2.Client, method: str, url: str, body: object) -> Any:
    try:
        answer = client.request(method, url, json=body)
    except httpx2.TransportError as error:
        unreachable(url, error, "nothing was measured")
    if answer.is_error:
        fail(sentence_of(answer))
    return answer.json() if answer.content else None
