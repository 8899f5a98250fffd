"""The one reader of a cluster: from the replication slot into the log, and out to everybody.

Every job worker runs one of these. They compete for an advisory lock that belongs to the
replication connection itself, so that whoever dies loses both at once and another goes on where
the log ends.
"""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg
import structlog

from undercroft.foundation.cache import Cache
from undercroft.foundation.db import Database
from undercroft.foundation.db.failures import told
from undercroft.realtime import metrics
from undercroft.realtime.changes import slot
from undercroft.realtime.changes.change import Change
from undercroft.realtime.changes.decoding import Decoder
from undercroft.realtime.changes.log import append
from undercroft.realtime.changes.pgoutput import read_message
from undercroft.realtime.changes.stream import Alive, Logged, ReplicationConnection, StreamBroken
from undercroft.realtime.changes.tables import PUBLICATIONS

log = structlog.get_logger()

TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('undercroft reader of changes', 0))"
CAMPAIGN_SECONDS = 0.5
RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 5.0
LOOK_AROUND_SECONDS = 2.0
# A batch is read into memory by every process that follows: large transactions come in several.
MOST_WEIGHT = 256 * 1024
MOST_CHANGES = 1000


class ChangeReader:
    def __init__(self, database: Database, cache: Cache) -> None:
        self._url = database.settings.listen_url or database.settings.url
        self._connect = database.connector("changes")
        self._cache = cache
        self._channel = fan_out_channel(cache)

    async def run(self, stop: asyncio.Event) -> None:
        """Read, or wait for a turn to, until `stop`."""
        reading = asyncio.create_task(self._keep_reading())
        await stop.wait()
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading

    async def _keep_reading(self) -> None:
        pause = RETRY_SECONDS
        while True:
            started = asyncio.get_running_loop().time()
            try:
                await self._term()
            except StreamBroken as error:
                log.warning("changes_not_read", cause=str(error).strip())
            except Exception as error:  # noqa: BLE001 - without us nobody reads them any more
                log.warning("changes_not_read", **told(error))
            if asyncio.get_running_loop().time() - started > LONGEST_RETRY_SECONDS:
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)

    async def _term(self) -> None:
        """From the first watched table to a lost connection, or to the last one being unwatched."""
        connection = await self._connect()
        try:
            name = await slot.slot_name(connection)
            if not await slot.any_table_watched(connection):
                await slot.drop_slot(connection, name)
            while not await slot.any_table_watched(connection):  # noqa: ASYNC110
                await asyncio.sleep(CAMPAIGN_SECONDS)
            await self._campaign(connection, name)
        finally:
            connection.terminate()

    async def _campaign(self, connection: "asyncpg.Connection[Any]", name: str) -> None:
        """Wait for the lock, then read."""
        assert self._url
        stream = await ReplicationConnection.open(self._url.get_secret_value())
        try:
            while await stream.run(TRY_LOCK) != [["t"]]:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(CAMPAIGN_SECONDS)
            position = await slot.ensure_slot(connection, stream, name)
            await stream.start(name, ",".join(PUBLICATIONS))
            log.info("changes_reader_started", slot=name, after=str(position))
            await _Term(stream, connection, Decoder(connection, position), self._publish).read()
        finally:
            stream.close()

    async def _publish(self, message: bytes) -> None:
        """Hand a batch to every process; those that miss it find it in the log."""
        with suppress(*self._cache.ERRORS):
            await self._cache.client.publish(self._channel, message)


class _Term:
    """One reader's time in office."""

    def __init__(
        self,
        stream: ReplicationConnection,
        connection: "asyncpg.Connection[Any]",
        decoder: Decoder,
        publish: Any,
    ) -> None:
        self._stream = stream
        self._connection = connection
        self._decoder = decoder
        self._publish = publish
        self._looked_around = asyncio.get_running_loop().time()

    async def read(self) -> None:
        """Until the stream breaks or nothing is watched any more."""
        decoder = self._decoder
        async for message in self._stream.messages():
            match message:
                case Logged(data):
                    await decoder.take(read_message(data))
                    if decoder.weight > MOST_WEIGHT or len(decoder.drafts) >= MOST_CHANGES:
                        await self._flush()
                case Alive(end):
                    if not decoder.drafts and not decoder.in_transaction:
                        decoder.confirmed = max(decoder.confirmed, end)
                case None:
                    await self._flush()
                    if not await self._still_wanted():
                        return

    async def _flush(self) -> None:
        decoder = self._decoder
        if changes := await decoder.finish():
            previous = decoder.position
            batch = await append(self._connection, previous, changes)
            decoder.position = changes[-1].cursor
            await self._publish(fan_out_message(str(previous), str(decoder.position), batch))
            _count(changes)
        if decoder.confirmed:
            self._stream.note(decoder.confirmed)

    async def _still_wanted(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self._looked_around < LOOK_AROUND_SECONDS:
            return True
        self._looked_around = now
        row = await self._connection.fetchrow(slot.LAG)
        if row is not None:
            metrics.UNREAD_BYTES.set(row["unread_bytes"])
        return await slot.any_table_watched(self._connection)


def fan_out_channel(cache: Cache) -> str:
    return cache.key("realtime", "changes")


def fan_out_message(previous: str, end: str, batch: bytes) -> bytes:
    return f"{previous} {end}\n".encode() + batch


def _count(changes: list[Change]) -> None:
    for change in changes:
        metrics.CHANGES.labels(change.type.value).inc()
