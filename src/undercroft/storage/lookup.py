"""Finding a file in one round trip: what every download begins with."""

import asyncio
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


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file with its bytes. `links` is the version that its signed URLs carry."""

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

    async def find(self, caller: Caller | None, bucket: str, name: str) -> StoredFile | None:
        """The file if the caller may see it; without a caller, if its bucket is public."""
        role, claims = (caller.role, caller.claims) if caller else (None, None)
        row = await self.fetchrow(FIND, role, claims, bucket, name)
        if row is None:
            return None
        values = dict(row)
        for column in ("parts", "user_metadata"):
            values[column] = orjson.loads(values[column]) if values[column] else None
        return StoredFile(bucket=bucket, name=name, **values)

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
                    connection_class=ControlConnection,
                    **connect_options(database, application="files"),
                )
            return self._pool


async def _leave_as_it_is(_connection: object) -> None:
    """Save the round trip that resets a session."""
