"""A real OpenID provider, one that lies, and a browser on its way to them and back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.app import make_client, running
from tests.fixtures.engines import EngineAddresses
from tests.identity.forger import Forger
from undercroft.app import create_app
from undercroft.foundation.settings import Settings

AUTH = "/api/v1/auth"
COOKIE = "__Host-undercroft-flow"


@pytest.fixture(scope="session")
def provider() -> Iterator[str]:
    """A whole OpenID provider in a thread."""
    # Its import warns, which only pytest's filters around a test keep quiet.
    from oidc_provider_mock import run_server_in_thread  # noqa: PLC0415

    with run_server_in_thread(require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest_asyncio.fixture(scope="session")
async def liar() -> AsyncIterator[Forger]:
    forger = Forger()
    server = await asyncio.start_server(forger.serve, "127.0.0.1", 0)
    forger.issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield forger


@pytest_asyncio.fixture(scope="session")
async def web(
    engines: EngineAddresses, database: str, settings: Settings, provider: str, liar: Forger
) -> AsyncIterator[httpx.AsyncClient]:
    """Anonymous, at an application that knows both providers."""
    auth = settings.auth.model_dump() | {
        "providers": {
            "acme": {"client_id": "our-client", "client_secret": "s", "issuer": provider},
            "liar": {"client_id": "our-client", "client_secret": "s", "issuer": liar.issuer},
            "microsoft": {"client_id": "our-client", "issuer": liar.issuer},
        },
        "redirect_urls": ("https://other.example/back",),
    }
    options = {"rate_limits": {"enabled": False}, "observability": {"log_level": "error"}}
    app = create_app(engines.settings(database, auth=auth, **options))
    async with running(app), make_client(app) as client:
        yield client


@pytest.fixture
def honest(liar: Forger) -> None:
    liar.reset()


@dataclass
class Trip:
    """A browser on its way: where it was sent, and the cookie it keeps."""

    url: str
    cookie: str

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}


def cookie_of(answer: httpx.Response) -> str:
    line = answer.headers["set-cookie"]
    assert all(word in line for word in ("Secure", "HttpOnly", "Path=/", "SameSite=lax"))
    assert "Domain" not in line
    return str(line.partition(";")[0].partition("=")[2])


async def set_out(web: httpx.AsyncClient, name: str = "acme", **params: str) -> Trip:
    answer = await web.get(f"{AUTH}/authorize/{name}", params=params)
    assert answer.status_code == 303, answer.text
    return Trip(answer.headers["location"], cookie_of(answer))


async def consent(trip: Trip, provider: str, subject: str, **claims: Any) -> dict[str, str]:
    """What the person does at the provider; returns what the browser comes back with."""
    async with httpx.AsyncClient() as browser:
        if claims:
            await browser.put(f"{provider}/users/{subject}", json=claims)
        answer = await browser.post(trip.url, data={"sub": subject})
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    assert back.path == f"{AUTH}/callback/acme"
    return {name: values[0] for name, values in parse_qs(back.query).items()}


async def come_back(
    web: httpx.AsyncClient, answer: dict[str, str], cookie: str | None, name: str = "acme"
) -> httpx.Response:
    headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    return await web.get(f"{AUTH}/callback/{name}", params=answer, headers=headers)


async def with_acme(
    web: httpx.AsyncClient, provider: str, subject: str, **claims: Any
) -> httpx.Response:
    trip = await set_out(web)
    return await come_back(web, await consent(trip, provider, subject, **claims), trip.cookie)


async def lie(
    web: httpx.AsyncClient, liar: Forger, name: str = "liar", **answer: str
) -> httpx.Response:
    trip = await set_out(web, name)
    liar.nonce = trip.query["nonce"]
    back = {"state": trip.query["state"], "code": "any"} | answer
    return await come_back(web, back, trip.cookie, name=name)
