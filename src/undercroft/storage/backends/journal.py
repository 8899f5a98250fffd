"""Flushing many small files at once: what a power cut would take of them stands in a journal too.

Two flushes for every file, in a thread of their own, were a third of what an upload cost. Here
files are written and not flushed; their bytes are appended to one file as well, whose one flush
serves all who came meanwhile. Later the files are flushed too, nobody waiting, and the journal
begins anew. After a power cut the next start writes what is missing (docs/decisions/0087).
"""

import asyncio
import ctypes
import fcntl
import mmap
import os
import secrets
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import structlog

log = structlog.get_logger()

# Of a journal: then it is settled, at the latest so many seconds after its first record.
MOST_BYTES = 128 * 1024 * 1024
LONGEST_SECONDS = 20.0
# From the beginning of one flush to that of the next, twice what it took, where several came at
# once: so more of them share one. Who uploads one file after another does not wait.
LEAST_PAUSE, LONGEST_PAUSE = 0.004, 0.02
# To flush so many files one by one is quicker than the whole file system, and leaves others alone.
MOST_ALONE = 64
# Checksum, and the lengths of key and content that follow.
RECORD = struct.Struct("<IHI")
BOOT = Path("/proc/sys/kernel/random/boot_id")
BOOT_BYTES = 64

Put = Callable[[str, bytes], None]
Flush = Callable[[str], None]


class Kept(NamedTuple):
    key: str
    content: bytes
    done: "asyncio.Future[None]"


class Journal:
    """Of one process. Its file is locked as long as it lives.

    `flush` makes a single file durable, where there can be no journal.
    """

    def __init__(self, directory: Path, threads: ThreadPoolExecutor, flush: Flush) -> None:
        self._directory = directory
        self._threads = threads
        self._flush = flush
        self._waiting: list[Kept] = []
        self._busy = False
        self._timer: asyncio.TimerHandle | None = None
        self._turn = threading.Lock()
        self._descriptor: int | None = None
        self._path = directory
        self._size = 0
        self._keys: list[str] = []
        self._settling = False
        self._begun, self._pause = 0.0, 0.0

    async def keep(self, key: str, content: bytes) -> None:
        """Return when this file, which is written already, survives a power cut. Raises OSError."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(Kept(key, content, done))
        if not self._busy:
            self._begin_soon()
        await done

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._descriptor is not None:
            self._threads.submit(self._settle)

    def _begin_soon(self) -> None:
        self._busy = True
        loop = asyncio.get_running_loop()
        rest = self._begun + self._pause - loop.time()
        if rest > 0:
            loop.call_later(rest, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        """Whoever comes while these are flushed goes with the next."""
        batch, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        self._begun = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(LONGEST_SECONDS, self._time_is_up)
        flushed = loop.run_in_executor(self._threads, self._append, batch)
        flushed.add_done_callback(lambda future: self._finish(batch, future))

    def _finish(self, batch: Sequence[Kept], flushed: "asyncio.Future[dict[str, OSError]]") -> None:
        broken = OSError("closed") if flushed.cancelled() else flushed.exception()
        failed = {} if broken else flushed.result()
        took = asyncio.get_running_loop().time() - self._begun
        together = len(batch) > 1 or self._waiting
        self._pause = min(max(2 * took, LEAST_PAUSE), LONGEST_PAUSE) if together else 0.0
        for kept in batch:
            if kept.done.done():  # whoever asked has left
                continue
            if failure := broken or failed.get(kept.key):
                kept.done.set_exception(failure)
            else:
                kept.done.set_result(None)
        self._busy = False
        if self._waiting:
            self._begin_soon()
        if self._size > MOST_BYTES and not self._settling:
            self._time_is_up()

    def _time_is_up(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        self._settling = True
        asyncio.get_running_loop().run_in_executor(self._threads, self._settle)

    # --- in threads ----------------------------------------------------------------------------

    def _append(self, batch: Sequence[Kept]) -> dict[str, OSError]:
        """What could not be kept, by key."""
        with self._turn:
            try:
                self._write(batch)
            except OSError as error:
                log.warning("journal_given_up", cause=str(error))
                self._give_up()
                return self._flush_each(batch)
        return {}

    def _write(self, batch: Sequence[Kept]) -> None:
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None
        pieces: list[bytes] = []
        for key, content, _ in batch:
            name = key.encode()
            pieces += (_head(name, content), name, content)
        content = b"".join(pieces)
        if os.write(self._descriptor, content) < len(content):
            raise OSError("the disk took a part only")
        os.fdatasync(self._descriptor)
        self._size += len(content)
        self._keys += [kept.key for kept in batch]

    def _open(self) -> None:
        """Raises OSError on shares without locks: nobody could tell whether we live."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / secrets.token_hex(16)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.stat()  # or another process has just tidied it away
            os.write(descriptor, _boot())
            _flush_directory(self._directory)
            _flush_directory(self._directory.parent)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor, self._path, self._size = descriptor, path, 0
        self._keys = []

    def _flush_each(self, batch: Sequence[Kept]) -> dict[str, OSError]:
        failed = {}
        for kept in batch:
            try:
                self._flush(kept.key)
            except OSError as error:
                failed[kept.key] = error
        return failed

    def _give_up(self) -> None:
        """Leave this one to `recover`: what follows a broken record would not be read."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _settle(self) -> None:
        """Have the files themselves on the disk, and forget what stands in the journal."""
        with self._turn:
            descriptor, path, keys = self._descriptor, self._path, self._keys
            self._descriptor, self._size = None, 0
        try:
            if descriptor is not None:
                _flush_files(descriptor, keys, self._flush)
                path.unlink()
        except OSError as error:
            log.warning("journal_not_settled", cause=str(error))
        finally:
            self._settling = False
            if descriptor is not None:
                os.close(descriptor)


def recover(directory: Path, put: Put, flush: Flush) -> int:
    """Settle the journals of processes that died; returns how many files they held.

    While the system runs, what was written is there. After it went down `put` gets every file, to
    write it unless it is whole.
    """
    try:
        names = os.listdir(directory)  # noqa: PTH208 - nothing but names is needed
    except FileNotFoundError:
        return 0
    found = 0
    for name in names:
        with suppress(FileNotFoundError, BlockingIOError):  # settled, or its process lives
            found += _recover(directory / name, put, flush)
    return found


def _recover(path: Path, put: Put, flush: Flush) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        keys = _replay(descriptor, put) if os.fstat(descriptor).st_size else []
        _flush_files(descriptor, keys, flush)
        path.unlink()
        return len(keys)
    finally:
        os.close(descriptor)


def _replay(descriptor: int, put: Put) -> list[str]:
    keys = []
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
        went_down = content[:BOOT_BYTES] != _boot()
        for key, file in _records(content):
            if went_down:
                put(key, file)
            keys.append(key)
    return keys


def _records(content: mmap.mmap) -> Iterator[tuple[str, bytes]]:
    """Up to the first that is not whole: what came behind it was never flushed."""
    at = BOOT_BYTES
    while at + RECORD.size <= len(content):
        checksum, name_bytes, content_bytes = RECORD.unpack_from(content, at)
        start = at + RECORD.size
        end = start + name_bytes + content_bytes
        body = content[start:end]
        if len(body) < name_bytes + content_bytes or crc32(body) != checksum:
            return
        yield body[:name_bytes].decode(), body[name_bytes:]
        at = end


def _head(name: bytes, content: bytes) -> bytes:
    return RECORD.pack(crc32(content, crc32(name)), len(name), len(content))


def _boot() -> bytes:
    """Another one after the system went down."""
    try:
        name = BOOT.read_bytes().strip()
    except OSError:
        name = secrets.token_hex(16).encode()  # nobody knows: then every journal is read
    return name[:BOOT_BYTES].ljust(BOOT_BYTES)


def _flush_files(descriptor: int, keys: Sequence[str], flush: Flush) -> None:
    if len(keys) > MOST_ALONE:
        _flush_everything(descriptor)
        return
    for key in keys:
        with suppress(FileNotFoundError):  # removed since
            flush(key)


def _flush_everything(descriptor: int) -> None:
    """The file system that this file is on."""
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):
        os.sync()
    elif library.syncfs(descriptor) != 0:
        raise OSError(ctypes.get_errno(), "The file system was not flushed")


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
