"""What Valkey does for us, on three nodes that share the keys, and behind a sentinel."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from socket import socket
from urllib.parse import quote

import httpx
import pytest
from pydantic import SecretStr
from valkey import Valkey

from tests.apps.conftest import OpenNode
from tests.apps.test_catalog import API, author, movie
from tests.fixtures.actors import sign_in, unique
from tests.fixtures.app import SUPERUSER, make_client, running
from tests.fixtures.certificates import make_certificate
from tests.fixtures.engines import SECRET_KEY, DatabaseFactory, EngineAddresses
from tests.fixtures.query_counter import QueryCounter
from tests.fixtures.served import serving, wait_until
from tests.fixtures.tls import tls_before
from undercroft.app import create_app
from undercroft.foundation.embedded.programs import valkey_program
from undercroft.foundation.settings import Settings

NODES = 3
SLOTS = 16384
PASSWORD = "a word for the cluster"
# On a busy machine an answer late by a second would be counted by the node itself.
PATIENCE = timedelta(seconds=20)


@pytest.fixture(scope="module")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three masters with a third of the slots each."""
    ports = [_free_port() for _ in range(NODES)]
    processes = [_start(tmp_path_factory.mktemp("node"), port) for port in ports]
    clients = [Valkey(port=port, password=PASSWORD) for port in ports]
    try:
        for client in clients:
            wait_until(lambda client=client: _answers(client), "a node answers")
        third = SLOTS // NODES + 1
        for number, client in enumerate(clients):
            first, last = number * third, min((number + 1) * third, SLOTS) - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0])
        for client in clients:
            wait_until(lambda client=client: _is_whole(client), "the cluster is whole")
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        yield f"redis+cluster://:{PASSWORD.replace(' ', '%20')}@{hosts}"
    finally:
        for client in clients:
            client.close()
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One server with a password, watched by one sentinel without; both by TLS."""
    directory, port, watch = tmp_path_factory.mktemp("sentinel"), _free_port(), _free_port()
    shown = make_certificate(directory, "127.0.0.1")
    with (
        tls_before(shown.context(), port=port) as master,
        tls_before(shown.context(), port=watch) as watching,
        _watched(directory, port, master.port, watch),
    ):
        yield {
            "REDIS_URL": f"rediss+sentinel://:{quote(PASSWORD)}@127.0.0.1:{watching.port}",
            "UNDERCROFT_CACHE__CA_FILE": str(shown.file),
        }


@contextmanager
def _watched(directory: Path, port: int, known_port: int, watch: int) -> Iterator[None]:
    """A server at `port` that its sentinel, at `watch`, knows at `known_port`."""
    options = ["--port", str(port), "--bind", "127.0.0.1", "--requirepass", PASSWORD]
    options += ["--dir", str(directory), "--save", ""]
    configuration = directory / "sentinel.conf"
    configuration.write_text(
        f"port {watch}\nbind 127.0.0.1\nprotected-mode no\ndir {directory}\n"
        f"sentinel monitor mymaster 127.0.0.1 {known_port} 1\n"
        f'sentinel auth-pass mymaster "{PASSWORD}"\n'
    )
    processes = [
        subprocess.Popen([valkey_program(), *arguments], stdout=subprocess.DEVNULL)
        for arguments in (options, [str(configuration), "--sentinel"])
    ]
    clients = [Valkey(port=port, password=PASSWORD), Valkey(port=watch)]
    try:
        for client in clients:
            wait_until(lambda client=client: _answers(client), "it answers")
        yield
    finally:
        for client, process in zip(clients, processes, strict=True):
            client.close()
            process.kill()
            process.wait()


def _start(directory: Path, port: int) -> "subprocess.Popen[bytes]":
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": directory,
        "cluster-enabled": "yes",
        "cluster-node-timeout": 2000,
        "requirepass": PASSWORD,
        "masterauth": PASSWORD,
        "save": "",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return subprocess.Popen([valkey_program(), *arguments], stdout=subprocess.DEVNULL)


def _free_port() -> int:
    """The bus of a node listens 10,000 above it."""
    while True:
        with closing(socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 55_000:
            return port


def _answers(client: Valkey) -> bool:
    try:
        return bool(client.ping())
    except (OSError, Exception):  # noqa: BLE001 - it starts
        return False


def _is_whole(client: Valkey) -> bool:
    told = str(client.execute_command("CLUSTER", "INFO"))
    found = dict(re.findall(r"(cluster_\w+)\W+(\w+)", told))
    return found["cluster_state"] == "ok" and found["cluster_known_nodes"] == str(NODES)


async def test_reads_are_kept_and_never_stale(
    cluster_url: str, open_node: OpenNode, query_counter: QueryCounter
):
    async with open_node(cluster_url) as one, open_node(cluster_url) as two:
        assert (await one[1].get("/health")).json()["cache"]["status"] == "ok"
        writer = await sign_in(one[1], SUPERUSER)
        films = [await movie(writer, (await author(writer))["id"]) for _ in range(6)]
        for film in films:
            path = f"{API}/movies/{film['id']}"
            for _ in range(2):
                assert (await two[1].get(path)).json()["title"] == film["title"]
            with query_counter() as count:
                await two[1].get(path)
            assert count.statements == []
            changed = await writer.patch(path, json={"title": "Changed"})
            assert changed.status_code == 200, changed.text
            assert (await two[1].get(path)).json()["title"] == "Changed"


async def test_limits_are_shared(cluster_url: str, settings: Settings):
    assert await sign_in_tries(cluster_url, settings) == [401, 401, 401, 401, 429, 429]


def test_limits_are_counted_behind_sentinels(
    sentinel: dict[str, str],
    engines: EngineAddresses,
    make_database: DatabaseFactory,
    tmp_path: Path,
):
    """The servers have a password, the sentinels have none, and the URL names no group."""
    elsewhere = {
        "DATABASE_URL": engines.database_url(make_database()),
        **sentinel,
        "SECRET_KEY": SECRET_KEY,
        "UNDERCROFT_RATE_LIMITS__LOGIN": "4/hour",
        "UNDERCROFT_CACHE__TIMEOUT": "20",
    }
    with serving(tmp_path / "home", "--workers", "2", **elsewhere) as served:
        assert httpx.get(f"{served.url}/health").json()["cache"]["status"] == "ok"
        body = {"identifier": "nobody@example.com", "password": "Wrong-Pass-42"}
        tries = [httpx.post(f"{served.url}{API}/auth/login", json=body) for _ in range(6)]
    # One connection each, so that both workers are asked.
    assert [answer.status_code for answer in tries] == [401, 401, 401, 401, 429, 429]


async def sign_in_tries(url: str, settings: Settings) -> list[int]:
    """Three at each of two nodes, where four an hour are allowed."""
    cache = settings.cache.model_copy(
        update={"url": SecretStr(url), "prefix": unique("limits"), "timeout": PATIENCE}
    )
    limits = settings.rate_limits.model_copy(update={"enabled": True, "login": "4/hour"})
    chosen = settings.model_copy(update={"cache": cache, "rate_limits": limits})
    async with (
        running(create_app(chosen)) as one,
        running(create_app(chosen)) as two,
        make_client(one) as first,
        make_client(two) as second,
    ):
        assert (await first.get("/health")).json()["status"] == "ok"
        body = {"identifier": f"{unique('nobody')}@example.com", "password": "Wrong-Pass-42"}
        return [
            (await client.post(f"{API}/auth/login", json=body)).status_code
            for _ in range(3)
            for client in (first, second)
        ]


async def test_without_the_cluster_everything_goes_on(settings: Settings):
    nowhere = SecretStr("redis+cluster://127.0.0.1:1,127.0.0.1:2")
    cache = settings.cache.model_copy(update={"url": nowhere})
    limits = settings.rate_limits.model_copy(update={"enabled": True, "login": "4/hour"})
    chosen = settings.model_copy(update={"cache": cache, "rate_limits": limits})
    async with running(create_app(chosen)) as app, make_client(app) as client:
        assert (await client.get("/health")).json()["status"] == "degraded"
        assert (await client.get(f"{API}/movies")).status_code == 200
        body = {"identifier": f"{unique('nobody')}@example.com", "password": "Wrong-Pass-42"}
        tries = [await client.post(f"{API}/auth/login", json=body) for _ in range(5)]
    assert [answer.status_code for answer in tries] == [401, 401, 401, 401, 429]


async def test_broadcasts_reach_the_other_node(cluster_url: str, open_node: OpenNode):
    async with open_node(cluster_url) as one, open_node(cluster_url) as two:
        heard = asyncio.Event()
        messenger = two[0].parts.cache.messenger()
        async with messenger.pubsub() as listening:
            await listening.subscribe("a-room")

            async def listen() -> None:
                async for message in listening.listen():
                    if message["type"] == "message":
                        heard.set()
                        return

            waiting = asyncio.create_task(listen())
            sender = one[0].parts.cache.messenger()
            for _ in range(20):
                await sender.publish("a-room", "hello")
                if heard.is_set():
                    break
                await asyncio.sleep(0.05)
            await asyncio.wait_for(waiting, 10)
            await sender.aclose()
        await messenger.aclose()
