"""The platform in the test's own process, called as a client would call it."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from pydantic import SecretStr
from sqlalchemy import text
from starlette.testclient import TestClient

from undercroft.app import Application, bootstrap, create_app, open_workplace
from undercroft.foundation.db import migrate
from undercroft.foundation.embedded import EmbeddedEngines, Home, HomeLock, filled_in
from undercroft.foundation.jobs import work
from undercroft.foundation.settings import Environment, Settings, load_settings

PASSWORD = "Correct-Horse-42"  # noqa: S105 - of accounts that live as long as a test run
SUPERUSER = "root@example.com"
SECRET_KEY = "a secret key for tests, forty characters"  # noqa: S105
WAITING = text("SELECT count(*) FROM undercroft.pgqueuer WHERE status <> 'failed'")

_numbers = itertools.count()


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the control plane: paths are below its prefix."""

    client: TestClient
    prefix: str
    token: str | None = None
    id: str | None = None
    identifier: str | None = None

    def request(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = dict(options.pop("headers", {}))
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        answer: Any = self.client.request(method, self.prefix + path, headers=headers, **options)
        found: httpx2.Response = answer
        return found

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> httpx2.Response:
        return self.request("DELETE", path, **options)


class Platform:
    """What the fixture `platform` gives."""

    def __init__(self, settings: Settings, app: Application, client: TestClient) -> None:
        self.settings = settings
        self.app = app
        self._client = client
        self.anonymous = Caller(client, settings.prefix)
        self.superuser = self.sign_in(SUPERUSER)

    def person(self, *, permissions: Sequence[str] = ()) -> Caller:
        """Somebody new, signed in; in a group that permits just these, if any."""
        number = next(_numbers)
        identifier = f"person{number}@example.com"
        body = {"identifier": identifier, "password": PASSWORD}
        self._check(self.anonymous.post("/auth/register", json=body), 201)
        found = self.sign_in(identifier)
        if permissions:
            group = {"codename": f"group{number}", "name": f"group{number}"}
            made = self._check(self.superuser.post("/groups", json=group), 201)
            path = f"/groups/{made['id']}/permissions"
            self._check(self.superuser.post(path, json={"permissions": list(permissions)}))
            groups = {"groups": ["user", group["codename"]]}
            self._check(self.superuser.post(f"/users/{found.id}/groups", json=groups))
        return found

    def sign_in(self, identifier: str, password: str = PASSWORD) -> Caller:
        body = {"identifier": identifier, "password": password}
        answer = self._check(self.anonymous.post("/auth/login", json=body))
        token, user_id = answer["access_token"], answer["user"]["id"]
        return Caller(self._client, self.settings.prefix, token, user_id, identifier)

    def run_jobs(self) -> None:
        """Do what is queued, and what that queues; return when nothing is left."""
        asyncio.run(_work_off(self.settings))

    @staticmethod
    def _check(answer: httpx2.Response, status: int = 200) -> Any:
        assert answer.status_code == status, answer.text
        return answer.json()


@contextmanager
def running_platform(home: Path, apps: Sequence[str]) -> Iterator[Platform]:
    """Start the engines under `home`, migrate, serve in this process, stop."""
    place = Home(home)
    place.make()
    with HomeLock(place) as lock:
        lock.acquire("tests")
        plain = load_settings(
            environment=Environment.TEST,
            home=home,
            secret_key=SecretStr(SECRET_KEY),
            apps=tuple(apps),
            rate_limits={"enabled": False},
            realtime={"enabled": False},
            auth={
                "first_superuser_email": SUPERUSER,
                "first_superuser_password": SecretStr(PASSWORD),
                "password": {"memory_kib": 8192, "iterations": 1},
            },
            observability={"access_log": False, "log_level": "error"},
            _env_file=None,
        )
        engines = EmbeddedEngines(place, plain, durable=False)
        try:
            engines.launch()
            engines.wait_ready()
            settings = filled_in(plain, engines.urls(), SecretStr(SECRET_KEY))
            migrate.upgrade(settings)
            bootstrap(settings, embedded=True)
            app = create_app(settings)
            with TestClient(app, base_url="http://undercroft.test") as client:
                yield Platform(settings, app, client)
        finally:
            engines.stop()


async def _work_off(settings: Settings) -> None:
    stop = asyncio.Event()
    async with open_workplace(settings) as workplace:
        working = asyncio.create_task(work(settings, workplace, stop))
        try:
            async with asyncio.timeout(30):
                while await _waiting(workplace.unit_of_work):  # noqa: ASYNC110 - a queue in Postgres
                    await asyncio.sleep(0.02)
        finally:
            stop.set()
            await working


async def _waiting(unit_of_work: Any) -> int:
    async with unit_of_work() as session:
        return int(await session.scalar(WAITING) or 0)
