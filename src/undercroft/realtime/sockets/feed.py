"""A worker's place in the log of changes, and the channels that follow it from there.

Batches come over Valkey; whatever did not come that way is read from the log, so a worker that
was cut off goes on exactly where it was.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from undercroft.foundation.cache import Cache
from undercroft.foundation.db import Database, Listener
from undercroft.realtime import metrics
from undercroft.realtime.changes.change import Change, ChangeType, decode_batch
from undercroft.realtime.changes.cursor import Cursor
from undercroft.realtime.changes.log import CHANNEL, find_cursor_at, find_head, read_after
from undercroft.realtime.changes.reader import fan_out_channel
from undercroft.realtime.sockets.admission import as_caller
from undercroft.realtime.sockets.bindings import Binding
from undercroft.realtime.sockets.bus import Bus
from undercroft.realtime.sockets.channel import Channel, JoinRefused
from undercroft.realtime.sockets.delivery import Audience, Delivery
from undercroft.realtime.sockets.judge import Caller, Judge

log = structlog.get_logger()

# NOTIFY overtakes Valkey: give the batch itself a moment before reading the log for it.
GRACE_SECONDS = 0.05
POLL_SECONDS, DEAF_POLL_SECONDS, RETRY_SECONDS = 5.0, 0.5, 0.5
READY_SECONDS = 15.0
READY_KNOWN_SECONDS = 1.0  # thousands may come back in the same second
MOST_WAITING = 200
BATCHES_AT_ONCE = 20
SOURCE_IS_READY = text("""
    SELECT EXISTS (
        SELECT FROM pg_replication_slots
         WHERE slot_name = (SELECT slot FROM realtime.sources ORDER BY epoch DESC LIMIT 1)
           AND database = current_database() AND coalesce(wal_status, '') <> 'lost')
""")
FAILURES = (*Judge.ERRORS, SQLAlchemyError)


class Feed:
    def __init__(
        self, database: Database, cache: Cache, bus: Bus, listener: Listener, delivery: Delivery
    ) -> None:
        self._database = database
        self._bus = bus
        self._listener = listener
        self._subject = fan_out_channel(cache)
        self._delivery = delivery
        self._audiences: dict[Any, Audience] = {}
        self._position: Cursor | None = None
        self._waiting: deque[tuple[str, Cursor, bytes]] = deque()
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._seen_ready = 0.0
        listener.on(CHANNEL, self._notified)
        bus.when_back(self._news.set)

    async def join(
        self, channel: Channel, bindings: tuple[Binding, ...], since: str | None
    ) -> Cursor:
        """Let `channel` hear all that commits from now on, and first what it missed since then.

        Returns where it stands. Raises `JoinRefused` while nothing reads Postgres' log, and one of
        `FAILURES`; then the channel hears nothing, for what comes now would follow a gap.
        """
        await self._start()
        channel.held = []
        async with self._turn:
            assert self._position is not None
            stands = self._position
            # The caller as of now: `move` finds nobody before this.
            self._enter(channel, channel.topic, bindings, as_caller(channel.actor))
        try:
            if since is not None:
                await self._catch_up(channel, bindings, since, stands)
        except BaseException:
            self.leave(channel)
            raise
        held, channel.held = channel.held, None
        for message in held:
            channel.socket.push(message)
        return stands

    async def move(self, channel: Channel, caller: Caller) -> None:
        """Go on as another caller, without a gap."""
        if channel.audience is None:
            return
        async with self._turn:
            before: Audience | None = channel.audience
            if before is not None:  # or it left meanwhile
                self.leave(channel)
                self._enter(channel, before.topic, before.bindings, caller)

    def _enter(
        self, channel: Channel, topic: str, bindings: tuple[Binding, ...], caller: Caller
    ) -> None:
        audience = self._audiences.get((topic, bindings, caller))
        if audience is None:
            audience = Audience(topic, bindings, caller)
            self._audiences[audience.key] = audience
        audience.channels.add(channel)
        channel.audience = audience

    def leave(self, channel: Channel) -> None:
        audience: Audience | None = channel.audience
        channel.audience = None
        if audience is not None:
            audience.channels.discard(channel)
            if not audience.channels:
                del self._audiences[audience.key]

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _start(self) -> None:
        """Wait until what commits is sure to be logged, and follow the log from its end."""
        now = asyncio.get_running_loop().time()
        if self._task is not None and now - self._seen_ready < READY_KNOWN_SECONDS:
            return
        try:
            async with asyncio.timeout(READY_SECONDS):
                while not await self._source_is_ready():  # noqa: ASYNC110 - a slot is no event
                    await asyncio.sleep(0.1)
        except (TimeoutError, *FAILURES) as error:
            raise JoinRefused(
                "PostgresChangesSubscribeTimeout: nothing reads the database's log of changes"
            ) from error
        self._seen_ready = now
        async with self._starting:
            if self._task is None:
                await self._bus.subscribe(self._subject, self._heard)
                async with self._database.unit_of_work() as session:
                    self._position = await find_head(session)
                self._task = asyncio.get_running_loop().create_task(self._follow())

    async def _source_is_ready(self) -> bool:
        async with self._database.unit_of_work() as session:
            return bool(await session.scalar(SOURCE_IS_READY))

    def _heard(self, message: bytes) -> None:
        head, _, batch = message.partition(b"\n")
        previous, _, end = head.decode().partition(" ")
        cursor = Cursor.parse(end)
        if cursor is None:
            return
        if len(self._waiting) < MOST_WAITING:  # more than that is read from the log when it is due
            self._waiting.append((previous, cursor, batch))
        self._news.set()

    def _notified(self, _payload: str) -> None:
        if self._task is not None:
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._news.set)

    async def _follow(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(
                    POLL_SECONDS if self._listener.hearing else DEAF_POLL_SECONDS
                ):
                    await self._news.wait()
            self._news.clear()
            try:
                while await self._advance():
                    pass
            except FAILURES as error:
                log.warning("changes_not_delivered", cause=str(error))
            except Exception:  # whatever it is, this worker's sockets would hear nothing any more
                log.exception("changes_not_delivered")
            else:
                continue
            self._news.set()
            await asyncio.sleep(RETRY_SECONDS)

    async def _advance(self) -> bool:
        """Deliver the next changes; False when there are none."""
        async with self._turn:
            position = self._position
            if (batch := self._next_waiting(position)) is not None:
                end, content = batch
                changes = decode_batch(content) if self._audiences else []
                await self._deliver(changes, list(self._audiences.values()))
                self._position = end
                return True
            async with self._database.unit_of_work() as session:
                head = await find_head(session)
                if head is None or head == position:
                    return False
                if not self._audiences or position is None:
                    self._position = head
                    return False
                read = await read_after(session, position, BATCHES_AT_ONCE)
            if read.missed:
                self._resynchronise(list(self._audiences.values()), head, "changes were lost")
                self._position = head
                return True
            await self._deliver(read.changes, list(self._audiences.values()))
            self._position = read.changes[-1].cursor if read.changes else head
            return bool(read.changes)

    def _next_waiting(self, position: Cursor | None) -> tuple[Cursor, bytes] | None:
        """The batch that follows our position, if it came over Valkey."""
        while self._waiting:
            previous, end, content = self._waiting[0]
            if position is not None and end <= position:
                self._waiting.popleft()
            elif previous == str(position):
                self._waiting.popleft()
                return end, content
            else:
                return None
        return None

    async def _deliver(
        self, changes: Sequence[Change], audiences: list[Audience], *, anew: bool = False
    ) -> None:
        if not (changes and audiences):
            return
        unsent = await self._delivery.deliver(changes, audiences, anew=anew)
        end = changes[-1].cursor
        self._resynchronise(unsent.undecided, end, "a policy or filter could not be evaluated")
        self._resynchronise(unsent.outdated, end, "the table had other columns before")
        for audience in unsent.spoiled:
            for channel in [*audience.channels]:
                reason = "InvalidFilter: it fails, takes too long or names what is gone"
                channel.system("error", "postgres_changes", reason)
                self.leave(channel.follows if isinstance(channel, _Alone) else channel)
        for change in changes:
            if change.type is ChangeType.TRUNCATE:
                table = (change.schema, change.table)
                emptied = [one for one in audiences if one.of(table)]
                self._resynchronise(emptied, change.cursor, f"{change.table} was emptied")
        lag = datetime.now(UTC) - changes[-1].committed_at
        metrics.DELIVERY_SECONDS.observe(max(lag.total_seconds(), 0))

    def _resynchronise(self, audiences: list[Audience], at: Cursor, reason: str) -> None:
        for audience in audiences:
            for channel in audience.channels:
                _tell_resync(channel, at, reason)

    async def _catch_up(
        self,
        channel: Channel,
        bindings: tuple[Binding, ...],
        since: str,
        until: Cursor,
    ) -> None:
        """Send what was logged after `since`, up to where `channel` follows live."""
        cursor = await self._find_start(since)
        if cursor is not None and cursor.epoch != until.epoch:
            cursor = None
        if cursor is not None and cursor >= until:
            channel.live_after = cursor  # ahead of this worker
            return
        alone = _Alone(channel)
        while cursor is not None and cursor < until:
            caller = as_caller(channel.actor)
            audience = Audience(channel.topic, bindings, caller, {alone})  # type: ignore[arg-type]
            async with self._database.unit_of_work() as session:
                read = await read_after(session, cursor, BATCHES_AT_ONCE)
            changes = [change for change in read.changes if change.cursor <= until]
            if read.missed:
                cursor = None
            elif not changes:
                return
            else:
                await self._deliver(changes, [audience], anew=True)
                cursor = changes[-1].cursor
        if cursor is None:
            _tell_resync(channel, until, "the cursor is too old")

    async def _find_start(self, since: str) -> Cursor | None:
        """A cursor, or the time of a commit; None when it lies before what is kept."""
        if (cursor := Cursor.parse(since)) is not None:
            return cursor
        try:
            moment = datetime.fromisoformat(since)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        async with self._database.unit_of_work() as session:
            return await find_cursor_at(session, moment)


class _Alone:
    """A channel as the delivery sees it while it catches up: nothing is held back from it."""

    def __init__(self, channel: Channel) -> None:
        self.follows = channel
        self.socket = channel.socket
        self.held = None
        self.live_after = None

    def system(self, *parts: Any, **more: Any) -> None:
        self.follows.system(*parts, **more)


def _tell_resync(channel: Any, at: Cursor, reason: str) -> None:
    """One marker: read the rows anew, and go on from this cursor."""
    metrics.RESYNCS.inc()
    message = f"resync: {reason}"
    channel.system("ok", "postgres_changes", message, resync=True, cursor=str(at))
