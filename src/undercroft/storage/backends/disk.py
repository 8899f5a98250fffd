"""Files on the local disk, or on a share that every node mounts.

Not through obstore, whose local store needs 300 microseconds to read a small file where the system
call needs 10, and does not wait for the disk (docs/decisions/0022).
"""

import asyncio
import errno
import fcntl
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import TypeVar

from undercroft.storage.backends import (
    CHUNK_BYTES,
    BackendDown,
    BytesMissing,
    Entry,
    NoSpaceLeft,
)
from undercroft.storage.backends.flushing import Flusher

STAGING = "staging"
# Nanoseconds that a small file may hold up the event loop, and for how long it has threads after.
SLOW, LEFT_TO_THREADS = 10_000_000, 1_000_000_000
WRITE_BYTES = 1024 * 1024
# Of clients that send a byte at a time.
WRITE_CHUNKS = 4096
THREADS = 16
# A writer has its lock long before.
ABANDONED_SECONDS = 30
# Deeper keys have a directory of their own, which goes with the last of them.
PLAIN_DEPTH = 2
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
Value = TypeVar("Value")


class Disk:
    """What streams in is written beside the others and renamed into place once all of it came."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._root = str(directory)
        self._staging = directory / STAGING
        self._threads = ThreadPoolExecutor(THREADS, "files")
        # Of keys' directories, of which there are 256.
        self._directories: dict[str, _Directory] = {}
        self._flusher = Flusher()
        self._slow_until = 0

    async def write(self, key: str, content: AsyncIterator[bytes]) -> int:
        writing = _Writing(self._staging / secrets.token_hex(16), self._directory / key)
        try:
            batch: list[bytes] = []
            waiting = 0
            async for chunk in content:
                batch.append(chunk)
                waiting += len(chunk)
                if waiting >= WRITE_BYTES or len(batch) >= WRITE_CHUNKS:
                    await self._run(writing.append, batch)
                    batch, waiting = [], 0
            return await self._run(writing.publish, batch)
        except BaseException:
            # Behind a thread that still writes.
            await asyncio.shield(self._run(writing.undo))
            raise

    async def write_small(self, key: str, content: bytes) -> None:
        """In place: nobody looks for it before a row names it, and a note has it swept."""
        with _explained():
            here = time.monotonic_ns() >= self._slow_until and self._flusher.is_ready()
            if not (here and await self._write_here(key, content)):
                await self._write_in_thread(key, content)

    async def _write_here(self, key: str, content: bytes) -> bool:
        """False, and nothing done, if its directory has to be made first.

        Without a thread, which would wait for the interpreter's lock after each call into the
        system. What is written goes to memory; the wait for the disk is the kernel's.
        """
        path = f"{self._root}/{key}"
        begun = time.monotonic_ns()
        try:
            descriptor = os.open(path, NEW_FILE, 0o600)
        except FileNotFoundError:
            return False
        try:
            _write_whole(descriptor, content)
            made_at = time.monotonic_ns()
            if made_at - begun > SLOW:  # a share, or a disk that has too much to do
                self._slow_until = made_at + LEFT_TO_THREADS
            await self._flusher.flush(descriptor)
        finally:
            os.close(descriptor)
        await self._opened(path.rpartition("/")[0]).flush_by(self._flusher, made_at)
        return True

    async def _write_in_thread(self, key: str, content: bytes) -> None:
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work = self._threads.submit(self._write_and_tell, written, key, content)
        try:
            await written
        except asyncio.CancelledError:  # or the file would come after it was removed
            await asyncio.wait([asyncio.wrap_future(work)])
            raise

    def _write_and_tell(self, written: "asyncio.Future[None]", key: str, content: bytes) -> None:
        """What `run_in_executor` does at a third of its price."""
        failure: BaseException | None = None
        try:
            self._write_small(key, content)
        except BaseException as error:  # noqa: BLE001 - it is told
            failure = error
        written.get_loop().call_soon_threadsafe(_tell, written, failure)

    def _write_small(self, key: str, content: bytes) -> None:
        """Every call into the system hands the interpreter's lock on and takes it back.

        That costs more than most of them: hence so few, and directories that stay open.
        """
        path = f"{self._root}/{key}"
        directory = path.rpartition("/")[0]
        try:
            descriptor = os.open(path, NEW_FILE, 0o600)
        except FileNotFoundError:
            _make_directory(Path(directory))
            descriptor = os.open(path, NEW_FILE, 0o600)
        made_at = time.monotonic_ns()
        try:
            _write_whole(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._opened(directory).flush(made_at)

    def _opened(self, path: str) -> "_Directory":
        found = self._directories.get(path)
        if found is None:
            opened = _Directory(path)
            found = self._directories.setdefault(path, opened)
            if found is not opened:  # another thread was faster
                opened.close()
        return found

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        with _explained():
            descriptor = os.open(f"{self._root}/{key}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            while start < end:
                chunk = await self._read(descriptor, min(CHUNK_BYTES, end - start), start)
                if not chunk:
                    raise BytesMissing(f"{key} is shorter than expected")
                start += len(chunk)
                yield chunk
        finally:
            os.close(descriptor)

    async def read_small(self, key: str, size: int) -> bytes:
        with _explained():
            descriptor = os.open(f"{self._root}/{key}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = await self._read(descriptor, size, 0)
            if len(content) < size:  # the rest is not in the system's cache
                content = await self._run(os.pread, descriptor, size, 0)
        finally:
            os.close(descriptor)
        if len(content) < size:
            raise BytesMissing(f"{key} is shorter than expected")
        return content

    async def delete(self, keys: Iterable[str]) -> None:
        await self._run(self._unlink, list(keys))

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        found = self._walk(self._directory / prefix)
        while batch := await self._run(_take, found):
            for entry in batch:
                yield entry

    async def tidy(self) -> int:
        return await self._run(self._remove_abandoned)

    async def check(self) -> None:
        await self._run(self._try_out)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._flusher.close()
        while self._directories:
            self._directories.popitem()[1].close()

    async def _run(self, work: Callable[..., Value], *arguments: object) -> Value:
        loop = asyncio.get_running_loop()
        with _explained():
            return await loop.run_in_executor(self._threads, work, *arguments)

    async def _read(self, descriptor: int, size: int, offset: int) -> bytes:
        """From the system's cache at once, from the disk in a thread."""
        buffer = bytearray(size)
        try:
            length = os.preadv(descriptor, [buffer], offset, os.RWF_NOWAIT)
        except OSError:  # not in the cache, or a file system that cannot say
            return await self._run(os.pread, descriptor, size, offset)
        return bytes(buffer) if length == size else bytes(buffer[:length])

    def _unlink(self, keys: list[str]) -> None:
        for key in keys:
            path = self._directory / key
            with suppress(FileNotFoundError):
                path.unlink()
            if key.count("/") > PLAIN_DEPTH:
                with suppress(OSError):  # others are still in it
                    path.parent.rmdir()

    def _walk(self, directory: Path) -> Iterator[Entry]:
        try:
            found = list(os.scandir(directory))
        except FileNotFoundError:
            return
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                yield from self._walk(Path(entry.path))
                continue
            with suppress(FileNotFoundError):
                state = entry.stat(follow_symlinks=False)
                key = str(Path(entry.path).relative_to(self._directory))
                yield Entry(key, state.st_size, datetime.fromtimestamp(state.st_mtime, UTC))

    def _remove_abandoned(self) -> int:
        """Writers hold a lock on what they write, and the system lets go of it when they die."""
        removed = 0
        for entry in self._walk(self._staging):
            path = self._directory / entry.key
            if time.time() - entry.modified_at.timestamp() < ABANDONED_SECONDS:
                continue
            with suppress(OSError):  # it is written to, or has been renamed
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                    removed += 1
                finally:
                    os.close(descriptor)
        return removed

    def _try_out(self) -> None:
        probe = _Writing(self._staging / secrets.token_hex(16), self._directory / "probe")
        try:
            probe.append([b"ok"])
        finally:
            probe.undo()


class _Directory:
    """One that stays open. Several who made files in it at the same time flush it once."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._turn = Lock()
        self._flushed_at = 0
        self._flushing: asyncio.Future[None] | None = None

    def flush(self, made_at: int) -> None:
        """Return when what was made in it by then is on the disk."""
        with self._turn:
            if self._flushed_at > made_at:
                return
            begun = time.monotonic_ns()
            os.fsync(self._descriptor)
            self._flushed_at = begun

    async def flush_by(self, flusher: Flusher, made_at: int) -> None:
        """As `flush`, in the event loop."""
        while self._flushed_at <= made_at:
            if self._flushing:
                await self._flushing
                continue
            begun = time.monotonic_ns()
            self._flushing = asyncio.get_running_loop().create_future()
            try:
                await flusher.flush(self._descriptor)
                self._flushed_at = begun
            finally:
                self._flushing.set_result(None)
                self._flushing = None

    def close(self) -> None:
        os.close(self._descriptor)


def _write_whole(descriptor: int, content: bytes) -> None:
    if os.write(descriptor, content) < len(content):
        raise OSError(errno.ENOSPC, "The disk took a part only")


class _Writing:
    """One file on its way. Its methods run in threads; `undo` may come while another runs."""

    def __init__(self, staged: Path, target: Path) -> None:
        self._staged = staged
        self._target = target
        self._descriptor: int | None = None
        self._turn = Lock()
        self._size = 0

    def append(self, chunks: list[bytes]) -> None:
        with self._turn:
            self._append(chunks)

    def _append(self, chunks: list[bytes]) -> None:
        descriptor = self._open()
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                written = os.write(descriptor, view)
                self._size += written
                view = view[written:]

    def publish(self, chunks: list[bytes]) -> int:
        with self._turn:
            self._append(chunks)
            descriptor = self._open()
            _make_directory(self._target.parent)
            # Renamed before it is flushed: one commit of the file system's journal then takes both,
            # and the directory's own flush finds nothing left to do. Nobody looks for it yet.
            self._staged.rename(self._target)
            os.fsync(descriptor)
            self._close()
            _flush_directory(self._target.parent)
            return self._size

    def undo(self) -> None:
        with self._turn:
            self._close()
            for path in (self._staged, self._target):
                with suppress(FileNotFoundError):
                    path.unlink()

    def _open(self) -> int:
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self._staged, NEW_FILE, 0o600)
            except FileNotFoundError:
                _make_directory(self._staged.parent)
                self._descriptor = os.open(self._staged, NEW_FILE, 0o600)
            with suppress(OSError):  # a share without locks: then only `compare` finds it
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return self._descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _tell(written: "asyncio.Future[None]", failure: BaseException | None) -> None:
    if written.done():  # whoever waited has left
        return
    if failure is None:
        written.set_result(None)
    else:
        written.set_exception(failure)


def _make_directory(directory: Path) -> None:
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    with suppress(FileExistsError):
        directory.mkdir(0o700)
        _flush_directory(directory.parent)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take(entries: Iterator[Entry], most: int = 1000) -> list[Entry]:
    return [entry for entry, _ in zip(entries, range(most), strict=False)]


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BytesMissing(str(error)) from error
    except OSError as error:
        kind = NoSpaceLeft if error.errno in FULL else BackendDown
        raise kind(str(error)) from error
