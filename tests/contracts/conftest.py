"""A served Undercroft with a small shop in it, and a Node to run the JavaScript clients on."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.fixtures.served import UNDERCROFT, Served, environment, serving

JAVASCRIPT = Path(__file__).parent / "js"
SUPERUSER = {"identifier": "root@example.com", "password": "Correct-Horse-42"}
ADA = {"identifier": "ada@example.com", "password": "Analytical-Engine-1843"}
SETTINGS = {
    "FIRST_SUPERUSER_PASSWORD": SUPERUSER["password"],
    "UNDERCROFT_RATE_LIMITS__ENABLED": "false",
}
OWNER = "owner = (select auth.uid())"
TABLES = (
    {
        "name": "shops",
        "columns": [
            {"name": "id", "type": "integer", "primary_key": True},
            {"name": "name", "type": "text", "nullable": False},
        ],
    },
    {
        "name": "goods",
        "columns": [
            {"name": "id", "type": "integer", "primary_key": True},
            {"name": "name", "type": "text", "nullable": False},
            {"name": "price", "type": "numeric"},
            {"name": "labels", "type": "text[]"},
            {"name": "facts", "type": "jsonb"},
            {"name": "sold_in", "type": "int4range"},
            {"name": "owner", "type": "uuid", "default": "auth.uid()"},
            {"name": "shop_id", "type": "integer", "references": {"table": "shops"}},
        ],
    },
)


@dataclass(frozen=True)
class Shop:
    """Where the server is and what its clients identify themselves with."""

    url: str
    anon_key: str
    service_key: str
    access_token: str
    user_id: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "UNDERCROFT_URL": self.url,
            "ANON_KEY": self.anon_key,
            "SERVICE_KEY": self.service_key,
            "ACCESS_TOKEN": self.access_token,
            "USER_ID": self.user_id,
        }


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("contracts") / "home"
    with serving(home, **SETTINGS) as served:
        yield open_shop(served)


def open_shop(served: Served) -> Shop:
    url = served.url.rstrip("/")
    keys = json.loads(
        subprocess.run(
            [UNDERCROFT, "keys", "show", "--json", "--home", str(served.home)],
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        ).stdout
    )
    with httpx.Client(base_url=f"{url}/api/v1", timeout=60) as client:
        root = client.post("/auth/login", json=SUPERUSER).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {root['access_token']}"
        for table in TABLES:
            client.post("/tables", json=table).raise_for_status()
        everyone = {
            "name": "everyone",
            "roles": ["authenticated"],
            "using": "true",
            "check": "true",
        }
        client.post("/tables/shops/policies", json=everyone).raise_for_status()
        client.post(
            "/tables/goods/policies",
            json=everyone | {"name": "owners", "using": OWNER, "check": OWNER},
        ).raise_for_status()
        del client.headers["Authorization"]
        client.post("/auth/register", json=ADA).raise_for_status()
        ada = client.post("/auth/login", json=ADA).raise_for_status().json()
    return Shop(url, keys["anon"], keys["service"], ada["access_token"], ada["user"]["id"])


RunNode = Callable[[str], None]


@pytest.fixture
def run_node(shop: Shop) -> RunNode:
    """Run a file of Node tests beside this one; what it printed is the failure."""

    def run(name: str) -> None:
        node = UNDERCROFT.with_name("node")
        finished = subprocess.run(
            [node, "--test", "--test-reporter=spec", name],
            capture_output=True,
            text=True,
            check=False,
            cwd=JAVASCRIPT,
            env={"PATH": os.environ["PATH"]} | shop.environment,
            timeout=300,
        )
        assert finished.returncode == 0, finished.stdout + finished.stderr

    return run
