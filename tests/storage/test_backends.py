"""What every backend promises, on disk and on servers that speak S3 and Google's protocol."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fixtures.storage import chunks, collected
from undercroft.storage.backends import Backend, BytesMissing
from undercroft.storage.backends.disk import Disk

LARGE = bytes(range(256)) * 4096 * 9 + b"end"


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    return Disk(tmp_path)


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
