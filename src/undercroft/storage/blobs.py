"""Bytes on their way in and out: checked while they stream, kept under keys that never change."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from uuid import UUID

from undercroft.storage.backends import Backend, BackendDown, BytesMissing, NoSpaceLeft
from undercroft.storage.encodings import seen_type, type_inside
from undercroft.storage.errors import (
    FileTooLarge,
    FileTypeRefused,
    StorageFull,
    StorageUnavailable,
)
from undercroft.storage.metrics import bytes_in, bytes_out
from undercroft.storage.sniffing import HEAD_BYTES, base_type

DIRECTORY = "blobs"
# [name, size in bytes] of each part of a blob that came in several requests.
Parts = Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Staged:
    """Bytes in the backend that nobody can see yet. `parts` is None for one piece."""

    blob_id: UUID
    size_bytes: int
    content_type: str
    parts: Parts | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a bucket takes. Types may end in `/*`; none are all."""

    max_bytes: int
    types: tuple[str, ...] = ()

    def check_size(self, size_bytes: int) -> None:
        if size_bytes > self.max_bytes:
            raise FileTooLarge(self.max_bytes)

    def check_type(self, media_type: str, encoding: str | None = None) -> None:
        base = base_type(seen_type(media_type, encoding))
        if self.types and not any(fnmatchcase(base, base_type(kind)) for kind in self.types):
            raise FileTypeRefused(base)


def key_of(blob_id: UUID) -> str:
    """Two digits of the random end spread keys over directories, and over a store's partitions."""
    return f"{DIRECTORY}/{blob_id.hex[-2:]}/{blob_id.hex}"


def part_key(blob_id: UUID, part: str) -> str:
    return f"{key_of(blob_id)}/{part}"


def keys_of(blob_id: UUID, parts: Parts | None) -> list[str]:
    if parts is None:
        return [key_of(blob_id)]
    return [part_key(blob_id, part[0]) for part in parts]


def blob_of(key: str) -> UUID | None:
    """The blob that a key belongs to, None for what is not ours."""
    steps = key.split("/")
    if steps[0] != DIRECTORY or len(steps) not in {3, 4}:
        return None
    try:
        return UUID(hex=steps[2])
    except ValueError:
        return None


class Blobs:
    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def write(
        self,
        blob_id: UUID,
        content: AsyncIterable[bytes],
        *,
        declared_type: str | None,
        accepted: Accepted,
        encoding: str | None = None,
    ) -> Staged:
        """Store what streams in. Raises before the first byte is stored if its type is refused."""
        peeked = Peeked(content, accepted.max_bytes)
        media_type = type_inside(await peeked.head(), declared_type, encoding)
        accepted.check_type(media_type, encoding)
        with translated():
            size = await self.backend.write(key_of(blob_id), peeked.all())
        return Staged(blob_id, size, media_type)

    async def write_small(
        self,
        blob_id: UUID,
        content: bytes,
        *,
        declared_type: str | None,
        accepted: Accepted,
        encoding: str | None = None,
    ) -> Staged:
        """As `write`, for content of at most `SMALL_BYTES` that has come already."""
        accepted.check_size(len(content))
        media_type = type_inside(content[:HEAD_BYTES], declared_type, encoding)
        accepted.check_type(media_type, encoding)
        with translated():
            await self.backend.write_small(key_of(blob_id), content)
        bytes_in.inc(len(content))
        return Staged(blob_id, len(content), media_type)

    async def write_part(
        self, blob_id: UUID, part: str, content: AsyncIterable[bytes], *, max_bytes: int
    ) -> int:
        """Store one part and return its size."""
        with translated():
            return await self.backend.write(
                part_key(blob_id, part), Peeked(content, max_bytes).all()
            )

    async def read(
        self, blob_id: UUID, parts: Parts | None, start: int, end: int
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `end`."""
        with translated():
            for key, first, last in _pieces(blob_id, parts, start, end):
                async for chunk in self.backend.read(key, first, last):
                    bytes_out.inc(len(chunk))
                    yield chunk

    async def read_small(self, blob_id: UUID, size: int) -> bytes:
        """All bytes of a blob in one piece, of at most `SMALL_BYTES`."""
        with translated():
            content = await self.backend.read_small(key_of(blob_id), size)
        bytes_out.inc(size)
        return content

    async def remove(self, blob_id: UUID, parts: Parts | None) -> None:
        """Remove the bytes, and parts that were never noted too."""
        keys = keys_of(blob_id, parts)
        if parts is not None:
            keys = [entry.key async for entry in self.backend.entries(key_of(blob_id))]
        await self.backend.delete(keys)


class Peeked:
    """A stream whose beginning was looked at; it is counted and cut off where it is too long."""

    def __init__(self, content: AsyncIterable[bytes], max_bytes: int) -> None:
        self._content = aiter(content)
        self._max_bytes = max_bytes
        self._seen: list[bytes] = []
        self._size = 0

    async def head(self) -> bytes:
        while self._size < HEAD_BYTES:
            try:
                self._seen.append(await self._next())
            except StopAsyncIteration:
                break
        return b"".join(self._seen)[:HEAD_BYTES]

    async def all(self) -> AsyncIterator[bytes]:
        for chunk in self._seen:
            yield chunk
        self._seen = []
        while True:
            try:
                chunk = await self._next()
            except StopAsyncIteration:
                return
            yield chunk

    async def _next(self) -> bytes:
        chunk = await anext(self._content)
        self._size += len(chunk)
        if self._size > self._max_bytes:
            raise FileTooLarge(self._max_bytes)
        bytes_in.inc(len(chunk))
        return chunk


def _pieces(
    blob_id: UUID, parts: Parts | None, start: int, end: int
) -> Iterable[tuple[str, int, int]]:
    """(key, first, last) of every key that holds some of the bytes."""
    if parts is None:
        yield key_of(blob_id), start, end
        return
    offset = 0
    for name, size in parts:
        first, last = max(start - offset, 0), min(end - offset, size)
        if first < last:
            yield part_key(blob_id, name), first, last
        offset += size


@contextmanager
def translated() -> Iterator[None]:
    """What the backend says, as problems."""
    try:
        yield
    except NoSpaceLeft as error:
        raise StorageFull from error
    except BytesMissing as error:
        raise StorageUnavailable from error
    except BackendDown as error:
        raise StorageUnavailable from error
