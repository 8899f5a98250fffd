"""Broadcasts from the database: rows of `realtime.messages`, announced by their trigger."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from undercroft.foundation.db import Database, Listener
from undercroft.foundation.db.failures import DRIVER_ERRORS, sql_error, told
from undercroft.foundation.ids import new_id
from undercroft.realtime.sockets.channel import Channel, Replay
from undercroft.realtime.sockets.rooms import Rooms, broadcast_message

log = structlog.get_logger()

CHANNEL = "undercroft_broadcast"
MOST_AT_ONCE = 500
RETRY_SECONDS = 0.5
LONGEST_LIFE = 10**8
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
    INSERT INTO realtime.messages (id, topic, extension, event, payload, private, expires_at)
    VALUES (:id, :topic, 'broadcast', :event, CAST(:payload AS jsonb), true, :expires_at)
""")


class NotStored(Exception):  # noqa: N818 - says what happened
    """`str()` is for the client. `lasting`: another try changes nothing."""

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


def read_lifetime(wanted: Any) -> timedelta | None:
    """For how long a client wants a broadcast kept: seconds, None for as long as all are.

    Raises `NotStored`.
    """
    if wanted is None or wanted is True:
        return None
    if isinstance(wanted, bool) or not isinstance(wanted, int) or not 0 < wanted <= LONGEST_LIFE:
        raise NotStored("The time to keep it must be seconds.", lasting=True)
    return timedelta(seconds=wanted)


class StoredMessages:
    def __init__(self, database: Database, listener: Listener, rooms: Rooms) -> None:
        self._database = database
        self._listener = listener
        self._rooms = rooms
        self._senders: dict[str, Channel] = {}
        self._announced: list[str] = []
        self._task: asyncio.Task[None] | None = None
        listener.on(CHANNEL, self._heard)
        listener.when_deaf(self._senders.clear)

    @property
    def hearing(self) -> bool:
        """Whether broadcasts from the database arrive here."""
        return self._listener.hearing

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
        self,
        topic: str,
        event: str,
        payload: bytes,
        lifetime: timedelta | None,
        *,
        sender: Channel | None = None,
    ) -> str:
        """Keep a broadcast of a private topic and return its id; it is sent with the commit.

        Raises `NotStored`.
        """
        identity = str(new_id())
        if sender is not None:
            self._senders[identity] = sender
        values = {
            "id": identity,
            "topic": topic,
            "event": event,
            "payload": payload.decode(),
            "expires_at": datetime.now(UTC) + lifetime if lifetime else None,
        }
        try:
            async with self._database.unit_of_work() as session:
                await session.execute(STORE, values)
        except (SQLAlchemyError, *DRIVER_ERRORS) as error:
            self._senders.pop(identity, None)
            if isinstance(sql_error(error), asyncpg.DataError):
                raise NotStored("Postgres cannot keep this payload.", lasting=True) from error
            log.warning("broadcast_not_stored", cause=str(error))
            raise NotStored("The message cannot be stored now.") from error
        return identity

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def _heard(self, announcement: str) -> None:
        identity, _, topic = announcement.partition(" ")
        if not (self._rooms.members((True, topic)) or self._rooms.members((False, topic))):
            self._senders.pop(identity, None)
        else:
            self._announced.append(identity)
            if self._task is None or self._task.done():
                self._task = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        while self._announced:
            ids = self._announced[:MOST_AT_ONCE]
            try:
                rows = await self._find(ids)
            except Exception as error:  # noqa: BLE001 - what was announced is waited for
                log.warning("stored_messages_not_read", **told(error))
                await asyncio.sleep(RETRY_SECONDS)
                continue
            del self._announced[: len(ids)]
            for row in rows:
                meta = orjson.dumps({"id": row.id})
                payload = (row.payload or "null").encode()
                self._rooms.tell(
                    (row.private, row.topic),
                    row.event or "",
                    payload,
                    sender=self._senders.pop(row.id, None),
                    meta=meta,
                )

    async def _find(self, ids: list[str]) -> list[Any]:
        async with self._database.unit_of_work() as session:
            return list((await session.execute(FIND, {"ids": ids})).all())
