"""Broadcasts from the database: rows of `realtime.messages`, announced by their trigger."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from undercroft.foundation.db import Database, Listener
from undercroft.realtime.sockets.channel import Channel, Replay
from undercroft.realtime.sockets.rooms import Rooms, broadcast_message

log = structlog.get_logger()

CHANNEL = "undercroft_broadcast"
MOST_AT_ONCE = 500
RETRY_SECONDS = 0.5
FIND = text("""
    SELECT id::text, topic, event, private, payload::text AS payload FROM realtime.messages
     WHERE id = ANY (CAST(:ids AS uuid[])) ORDER BY inserted_at
""")
REPLAY = text("""
    SELECT * FROM (
        SELECT id::text, event, payload::text AS payload, inserted_at FROM realtime.messages
         WHERE topic = :topic AND private AND extension = 'broadcast' AND inserted_at >= :since
           AND (expires_at IS NULL OR expires_at > now())
         ORDER BY inserted_at DESC LIMIT :limit) newest
     ORDER BY inserted_at
""")
STORE = text("""
    INSERT INTO realtime.messages (topic, extension, event, payload, private, expires_at)
    VALUES (:topic, 'broadcast', :event, CAST(:payload AS jsonb), true, :expires_at)
""")


class StoredMessages:
    def __init__(self, database: Database, listener: Listener, rooms: Rooms) -> None:
        self._database = database
        self._rooms = rooms
        self._announced: list[str] = []
        self._task: asyncio.Task[None] | None = None
        listener.on(CHANNEL, self._heard)

    async def replay(self, channel: Channel, wanted: Replay) -> None:
        """Send the newest stored broadcasts of a private topic, in their order."""
        since = datetime.fromtimestamp(max(wanted.since, 0) / 1000, UTC)
        async with self._database.unit_of_work() as session:
            parameters = {"topic": channel.name, "since": since, "limit": wanted.limit}
            rows = (await session.execute(REPLAY, parameters)).all()
        for row in rows:
            meta = orjson.dumps({"id": row.id, "replayed": True})
            payload = (row.payload or "null").encode()
            channel.socket.push(
                broadcast_message(channel.room, row.event or "", payload, meta=meta)
            )

    async def store(
        self, topic: str, event: str, payload: bytes, lifetime: timedelta | None
    ) -> None:
        """Keep a broadcast of a private topic; it is sent when this has committed."""
        expires_at = datetime.now(UTC) + lifetime if lifetime else None
        async with self._database.unit_of_work() as session:
            await session.execute(
                STORE,
                {
                    "topic": topic,
                    "event": event,
                    "payload": payload.decode(),
                    "expires_at": expires_at,
                },
            )

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _heard(self, announcement: str) -> None:
        identity, _, topic = announcement.partition(" ")
        if self._rooms.members((True, topic)) or self._rooms.members((False, topic)):
            self._announced.append(identity)
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        while self._announced:
            ids = self._announced[:MOST_AT_ONCE]
            try:
                rows = await self._find(ids)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("stored_messages_not_read", cause=str(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            del self._announced[: len(ids)]
            for row in rows:
                meta = orjson.dumps({"id": row.id})
                payload = (row.payload or "null").encode()
                self._rooms.tell((row.private, row.topic), row.event or "", payload, meta=meta)

    async def _find(self, ids: list[str]) -> list[Any]:
        async with self._database.unit_of_work() as session:
            return list((await session.execute(FIND, {"ids": ids})).all())
