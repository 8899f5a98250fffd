"""Finding a file in one round trip: what every download begins with."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from undercroft.foundation.db import ControlConnection, connect_options
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings
from undercroft.storage.blobs import Parts
from undercroft.storage.callers import Caller

FIND = "SELECT * FROM undercroft.storage_find($1, $2, $3, $4)"
FIND_SEVERAL = """
    SELECT found.* FROM unnest($1::text[], $2::text[]) AS asked (bucket, name)
      JOIN undercroft.storage_files found
        ON found.bucket_id = asked.bucket AND found.name = asked.name COLLATE "C"
"""
# `parts` and `user_metadata` among what is found.
JSON_COLUMNS = (4, 8)
# Of those that travel together: questions on their way at once, and in one of them.
TRIPS, MOST_TOGETHER = 2, 200

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file with its bytes. `links` is the version that its signed URLs carry.

    What rows say about a file, their owner may have written by a function of the application's: it
    is checked where it becomes a header.
    """

    bucket: str
    name: str
    object_id: UUID
    blob_id: UUID
    size_bytes: int
    content_type: str
    parts: Parts | None
    cache_control: str | None
    created_at: datetime
    updated_at: datetime
    user_metadata: dict[str, Any] | None
    public: bool
    links: str
    encoding: str | None

    @property
    def etag(self) -> str:
        """Strong: bytes under one blob never change."""
        return f'"{self.blob_id.hex}"'


class Lookup:
    """A pool whose connections have nothing to reset: every call is one transaction."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._together = _Together(self._fetch_several)

    async def find(self, caller: Caller | None, bucket: str, name: str) -> StoredFile | None:
        """The file if the caller may see it; without a caller, if its bucket is public."""
        if caller is None or caller.manages_all:
            file = await self._together.find((bucket, name))
            return file if file and (caller or file.public) else None
        row = await self.fetchrow(FIND, caller.role, caller.claims, bucket, name)
        return _stored(bucket, name, row) if row else None

    async def _fetch_several(self, places: Iterable[Place]) -> dict[Place, StoredFile]:
        buckets, names = zip(*places, strict=True)
        pool = self._pool or await self._open()
        async with pool.acquire(timeout=self._wait) as connection:
            rows = await connection.fetch(FIND_SEVERAL, buckets, names)
        return {(row[0], row[1]): _stored(row[0], row[1], row[2:]) for row in rows}

    async def fetchrow(self, statement: str, *values: Any) -> "asyncpg.Record | None":
        """One row of a statement that is a transaction of its own."""
        pool = self._pool or await self._open()
        async with pool.acquire(timeout=self._wait) as connection:
            row: asyncpg.Record | None = await connection.fetchrow(statement, *values)
        return row

    async def close(self) -> None:
        if self._pool:
            await self._pool.close()

    @property
    def _wait(self) -> float:
        return self._settings.database.pool_timeout.total_seconds()

    async def _open(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                database = self._settings.database
                if database.url is None:
                    raise SettingsInvalid("DATABASE_URL is not set.")
                self._pool = await asyncpg.create_pool(
                    database.url.get_secret_value(),
                    min_size=0,
                    max_size=self._settings.storage.pool_size,
                    reset=_leave_as_it_is,
                    **connect_options(database, application="files")
                    | {"connection_class": ControlConnection},
                )
            return self._pool


async def _leave_as_it_is(_connection: object) -> None:
    """Save the round trip that resets a session."""


class _Together:
    """Files that are looked for while others are being looked for travel in one question.

    Only where no policy is asked: a slow one would keep strangers waiting. What is found is not
    kept, so an answer is as fresh as if it had been asked for alone.
    """

    def __init__(
        self, fetch: Callable[[Iterable[Place]], Awaitable[dict[Place, StoredFile]]]
    ) -> None:
        self._fetch = fetch
        self._waiting: list[tuple[Place, asyncio.Future[StoredFile | None]]] = []
        self._trips: set[asyncio.Task[None] | None] = set()

    async def find(self, place: Place) -> StoredFile | None:
        answer: asyncio.Future[StoredFile | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((place, answer))
        if len(self._trips) < TRIPS:
            self._trips.add(asyncio.create_task(self._go()))
        return await answer

    async def _go(self) -> None:
        """Until nobody waits; who comes right after that has to find that no trip is under way."""
        try:
            await self._carry()
        finally:
            self._trips.discard(asyncio.current_task())

    async def _carry(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
            try:
                found = await self._fetch({place for place, _ in taken})
            except Exception as error:  # noqa: BLE001 - each of them is told
                for _, answer in taken:
                    if not answer.done():
                        answer.set_exception(error)
                continue
            for place, answer in taken:
                if not answer.done():  # whoever asked may have left
                    answer.set_result(found.get(place))


def _stored(bucket: str, name: str, found: Iterable[Any]) -> StoredFile:
    values = list(found)
    for column in JSON_COLUMNS:
        values[column] = orjson.loads(values[column]) if values[column] else None
    return StoredFile(bucket, name, *values)
