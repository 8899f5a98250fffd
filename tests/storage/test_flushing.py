"""Small files on the disk: flushed by the kernel where it does that, else by threads."""

import asyncio
import errno
import os
import sys
from pathlib import Path

import pytest

from undercroft.storage.backends import BackendDown
from undercroft.storage.backends.disk import Disk
from undercroft.storage.backends.flushing import MOST_AT_ONCE, Flusher, _tell

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has it")


@pytest.fixture
def disk(tmp_path: Path):
    disk = Disk(tmp_path)
    yield disk
    disk.close()


@pytest.fixture
async def flusher():
    flusher = Flusher()
    assert flusher.is_ready()
    yield flusher
    flusher.close()


@pytest.fixture
def file(tmp_path: Path):
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


@linux
async def test_more_than_the_kernel_takes_at_once_are_all_flushed(flusher: Flusher, file: int):
    await asyncio.gather(*(flusher.flush(file) for _ in range(3 * MOST_AT_ONCE)))


@linux
async def test_what_cannot_be_flushed_is_an_error_for_its_own_caller_alone(
    flusher: Flusher, file: int
):
    reader, writer = os.pipe()
    outcomes = await asyncio.gather(
        *(flusher.flush(each) for each in (file, reader, file, 10_000, file)),
        return_exceptions=True,
    )
    numbers = [getattr(each, "errno", each) for each in outcomes]
    assert numbers == [None, errno.EINVAL, None, errno.EBADF, None]
    os.close(reader)
    os.close(writer)


async def test_an_error_of_the_disk_is_told_by_its_number():
    done: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
    _tell(done, 2**64 - errno.ENOSPC)  # as the kernel's answer comes through caio
    assert await done == errno.ENOSPC


@linux
async def test_who_leaves_while_it_is_flushed_leaves_at_once_and_the_others_get_on(
    flusher: Flusher, file: int
):
    tasks = [asyncio.create_task(flusher.flush(file)) for _ in range(20)]
    for turns, task in enumerate(tasks[::2]):
        for _ in range(turns % 3):  # before it is asked, and after
            await asyncio.sleep(0)
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes[1::2] == [None] * 10
    assert all(isinstance(each, asyncio.CancelledError | None) for each in outcomes[::2])


@pytest.mark.parametrize("refused", [False, True])
async def test_files_are_whole_either_way(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
):
    if refused:
        monkeypatch.setitem(sys.modules, "caio.linux_aio", None)
    contents = {f"ab/{number}/{number}": b"%d" % number * 5000 for number in range(40)}
    await asyncio.gather(*(disk.write_small(*each) for each in contents.items()))
    assert {key: (tmp_path / key).read_bytes() for key in contents} == contents


async def test_a_name_that_is_taken_is_refused_and_kept(disk: Disk, tmp_path: Path):
    await disk.write_small("ab/file", b"first")
    with pytest.raises(BackendDown):
        await disk.write_small("ab/file", b"second")
    assert (tmp_path / "ab/file").read_bytes() == b"first"


async def test_a_disk_that_holds_up_the_loop_is_left_to_threads(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("undercroft.storage.backends.disk.SLOW", -1)
    monkeypatch.setattr("undercroft.storage.backends.disk.LEFT_TO_THREADS", 10**12)
    await disk.write_small("ab/first", b"1")  # makes the directory, in a thread
    await disk.write_small("ab/second", b"2")
    written: list[str] = []
    monkeypatch.setattr(disk, "_write_small", lambda key, _content: written.append(key))
    await disk.write_small("ab/third", b"3")
    assert written == ["ab/third"]
    assert (tmp_path / "ab/second").read_bytes() == b"2"
