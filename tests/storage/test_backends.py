"""What every backend promises: on disk, on a server that speaks S3, and as Google's client speaks.

Google's XML API, which `obstore` uses, is that of S3 but for the signature: one server is enough.
The emulators of Google's store serve the JSON API only (docs/guides/files.md).
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from obstore.store import GCSStore
from pydantic import SecretStr

from tests.fixtures.storage import chunks, collected
from undercroft.foundation.ids import new_id
from undercroft.foundation.settings import StorageSettings
from undercroft.foundation.settings.storage import S3Settings
from undercroft.storage.backends import Backend, BytesMissing
from undercroft.storage.backends.disk import STAGING, WRITE_BYTES, Disk
from undercroft.storage.backends.stores import Store, open_store

LARGE = bytes(range(256)) * 4096 * 9 + b"end"
PEERS = Path(sys.prefix) / "peers" / "bin"
LONGEST_WAIT = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*command: str, url: str) -> Iterator[str]:
    """A server of another project, for as long as the tests need it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + LONGEST_WAIT
    try:
        while True:
            try:
                httpx.get(url)
                break
            except httpx.HTTPError:
                assert process.poll() is None, command
                assert time.monotonic() < deadline, command
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(str(PEERS / "moto_server"), "-H", "127.0.0.1", "-p", str(port), url=url):
        httpx.put(f"{url}/files").raise_for_status()
        yield url


def google(endpoint: str, prefix: str) -> Store:
    """With a token in which the server finds what it looks for in a signature."""
    account: dict[str, Any] = {"gcs_base_url": endpoint, "disable_oauth": True}
    account |= dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    token: Any = {"token": "x/20261122/us-east-1/s3/aws4_request", "expires_at": None}
    return Store(
        GCSStore(
            "files",
            prefix=prefix,
            service_account_key=json.dumps(account),
            credential_provider=lambda: token,
            client_options={"allow_http": True},
        )
    )


@pytest_asyncio.fixture(params=["disk", "s3", "gcs"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """An empty one of each kind."""
    if request.param == "disk":
        yield Disk(tmp_path)
        return
    endpoint = request.getfixturevalue("s3")
    prefix = new_id().hex
    if request.param == "gcs":
        yield google(endpoint, prefix)
        return
    secret = SecretStr("testing")
    s3 = S3Settings(
        bucket="files", endpoint=endpoint, access_key_id=secret, secret_access_key=secret
    )
    settings = StorageSettings(backend="s3", prefix=prefix, s3=s3)
    yield Store(open_store(settings))


async def keys(backend: Backend, prefix: str = "") -> list[str]:
    return sorted([entry.key async for entry in backend.entries(prefix)])


async def test_bytes_come_back_whole_and_in_part(backend: Backend):
    for key, content in (("blobs/ab/small", b"hello"), ("blobs/ab/large", LARGE)):
        assert await backend.write(key, chunks(content[:3], content[3:])) == len(content)
        assert await collected(backend.read(key, 0, len(content))) == content
        assert await collected(backend.read(key, 1, 4)) == content[1:4]
        assert await collected(backend.read(key, 3, 3)) == b""


async def test_an_empty_file(backend: Backend):
    assert await backend.write("blobs/ab/empty", chunks()) == 0
    assert await collected(backend.read("blobs/ab/empty", 0, 0)) == b""


async def test_what_is_missing_or_shorter_is_said(backend: Backend):
    with pytest.raises(BytesMissing):
        await collected(backend.read("blobs/ab/nothing", 0, 1))
    await backend.write("blobs/ab/short", chunks(b"12"))
    with pytest.raises(BytesMissing):
        await collected(backend.read("blobs/ab/short", 0, 3))


async def test_entries_and_deletion(backend: Backend):
    for key in ("blobs/ab/a", "blobs/cd/b/1", "blobs/cd/b/2"):
        await backend.write(key, chunks(b"123"))
    assert await keys(backend, "blobs") == ["blobs/ab/a", "blobs/cd/b/1", "blobs/cd/b/2"]
    assert await keys(backend, "blobs/cd/b") == ["blobs/cd/b/1", "blobs/cd/b/2"]
    assert [entry.size_bytes async for entry in backend.entries("blobs/ab")] == [3]
    await backend.delete(["blobs/ab/a", "blobs/cd/b/1", "blobs/cd/b/2", "blobs/ab/nothing"])
    assert await keys(backend) == []


async def test_a_stream_that_breaks_leaves_nothing(backend: Backend):
    async def broken() -> AsyncIterator[bytes]:
        yield LARGE
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await backend.write("blobs/ab/broken", broken())
    assert await keys(backend) == []


async def test_the_check_leaves_nothing_among_the_files(backend: Backend):
    await backend.check()
    assert await keys(backend, "blobs") == []


async def test_small_ones_in_one_piece(backend: Backend):
    for key, content in (("blobs/ab/empty", b""), ("blobs/ab/small", b"hello")):
        await backend.write_small(key, content)
        assert await backend.read_small(key, len(content)) == content
    with pytest.raises(BytesMissing):
        await backend.read_small("blobs/ab/small", 6)
    with pytest.raises(BytesMissing):
        await backend.read_small("blobs/ab/nothing", 1)


KILLED = """
import asyncio, os, sys
from pathlib import Path
from undercroft.storage.backends.disk import WRITE_BYTES, Disk

async def endless():
    while True:
        yield bytes(WRITE_BYTES)
        if any((Path(sys.argv[1]) / "staging").iterdir()):
            os.kill(os.getpid(), 9)

asyncio.run(Disk(Path(sys.argv[1])).write("blobs/ab/x", endless()))
"""


async def test_what_a_killed_writer_left_is_tidied_away_and_no_living_ones(tmp_path: Path):
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, str(tmp_path))
    assert await process.wait() == -9
    disk = Disk(tmp_path)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(WRITE_BYTES)
        begun.set()
        await go_on.wait()
        yield b"end"

    writing = asyncio.create_task(disk.write("blobs/ab/slow", slow()))
    await begun.wait()
    staged = list((tmp_path / STAGING).iterdir())
    assert len(staged) == 2
    assert await disk.tidy() == 0  # they may have begun this moment
    for path in staged:
        os.utime(path, (0, 0))
    assert await disk.tidy() == 1
    go_on.set()
    assert await writing == WRITE_BYTES + 3
    assert await keys(disk) == ["blobs/ab/slow"]
