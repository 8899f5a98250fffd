"""Small files: in one piece, and with one question to Postgres once the bytes are there.

Large ones ask first and write after. Here whoever was let into a bucket lately is believed, writes,
and is asked about when the row is made; that halves the price of an upload.
"""

import asyncio
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import ConnectionLost, NotCarried, StatementFailed
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import LONG_WAY, NOT_TOGETHER, Part, together
from undercroft.foundation.problems import Unavailable
from undercroft.storage.blobs import Staged
from undercroft.storage.callers import as_text
from undercroft.storage.errors import FileExists
from undercroft.storage.files import Files, Target, uploaded
from undercroft.storage.objects.permits import Permitted
from undercroft.storage.refusals import refusals

OTHER_ID = "UCS15"
LINK = """
    SELECT undercroft.storage_link(
        $1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9::jsonb, $10, $11, $12, $13::jsonb, $14, $15,
        $16, $17::jsonb) AS id
"""
# Lost in a crash, a note is missed only until bytes and rows are next compared.
NOTES = """
    INSERT INTO storage.blobs (id, sweep_after)
    SELECT note.id, $2
      FROM (SELECT pg_catalog.set_config('synchronous_commit', 'off', true) AS value) AS waiting
     CROSS JOIN unnest($1::text::uuid[]) AS note (id) WHERE waiting.value IS NOT NULL
"""
MOST_KNOWN = 1000
# Ids are noted this long before the sweep takes them, and used for half of it.
RESERVED_FOR = timedelta(minutes=10)
MOST_RESERVED = 64


class SmallUploads:
    def __init__(self, files: Files) -> None:
        self._files = files
        self._known: OrderedDict[tuple[str, str, str], Permitted] = OrderedDict()
        self._reserved: list[UUID] = []
        self._alone_until: dict[str, datetime] = {}
        self._reserving = asyncio.Lock()
        self._usable_until = self._long_way_until = utc_now()

    def knows(self, target: Target) -> bool:
        return _key(target) in self._known

    async def find_known(self, target: Target) -> Permitted | None:
        """What was settled when this caller was last let into this bucket, for another file.

        Ask when the bytes are there: the note of the id does not wait for slow clients.
        """
        known = self._known.get(_key(target))
        return replace(known, blob_id=await self._take_id()) if known else None

    def remember(self, target: Target, permitted: Permitted) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.popitem(last=False)
        self._known[_key(target)] = permitted

    def forget(self, target: Target) -> None:
        self._known.pop(_key(target), None)

    async def link(self, staged: Staged, target: Target, *, limits: str | None) -> UUID:
        """Make the bytes a file and return its id.

        Raises problems, and `LimitsChanged` unless the bucket has these.
        """
        object_id, now = None, utc_now()
        if now >= self._long_way_until and now >= self._alone_until.get(target.bucket, now):
            object_id = await self._link_at_once(staged, target, limits)
        if object_id is None:
            async with self._files.database.unit_of_work() as session:
                object_id = await self._files.link_target(session, staged, target, limits=limits)
        return object_id

    async def _link_at_once(
        self, staged: Staged, target: Target, limits: str | None
    ) -> UUID | None:
        """None where it takes several statements, because somebody has to hear of it."""
        object_id = new_id()
        for _ in range(2):
            try:
                return await self._link_as(object_id, staged, target, limits)
            except NotCarried:
                self._leave_alone(target.bucket)
                return None
            except FileExists:
                if not target.upsert:
                    raise
                # Replaced this very moment, a row may escape the look for its name, though not for
                # its id, of which the long way knows nothing.
                return None
            except (asyncpg.PostgresError, StatementFailed) as error:
                if error.sqlstate == NOT_TOGETHER:
                    self._long_way_until = utc_now() + LONG_WAY
                    return None
                if error.sqlstate != OTHER_ID:
                    raise
                object_id = UUID(error.detail or "")  # of the file that is replaced
        return None

    async def _link_as(
        self, object_id: UUID, staged: Staged, target: Target, limits: str | None
    ) -> UUID | None:
        files = self._files
        values = (*files.link_values(staged, target).values(), object_id, limits)
        event = uploaded(object_id, staged, target)
        change, unwaited = Part((LINK,), values), files.convoy is not None
        joined = together(files.database, change, event, unwaited=unwaited)
        if joined is None:
            return None
        with refusals():
            await self._run(joined.statement, joined.values)
        joined.committed()
        return object_id

    async def _run(self, statement: str, values: tuple[Any, ...]) -> None:
        if self._files.convoy is None:
            await self._files.lookup.fetchrow(statement, *values)
            return
        try:
            await self._files.convoy.run(statement, [as_text(value) for value in values])
        except ConnectionLost as error:
            raise Unavailable from error

    def _leave_alone(self, bucket: str) -> None:
        """Its policies or triggers take their time, or somebody holds a lock on its rows."""
        if len(self._alone_until) >= MOST_KNOWN:
            self._alone_until.clear()
        self._alone_until[bucket] = utc_now() + LONG_WAY

    async def _take_id(self) -> UUID:
        """An id for bytes that is noted already, so that the sweep finds what a crash leaves."""
        if self._reserved and utc_now() < self._usable_until:
            return self._reserved.pop()
        async with self._reserving:
            if not self._reserved or utc_now() >= self._usable_until:
                await self._reserve(MOST_RESERVED if utc_now() < self._usable_until else 1)
            return self._reserved.pop()

    async def _reserve(self, count: int) -> None:
        now = utc_now()
        ids = _in_one_directory(count)
        noted = (
            f"{{{','.join(id_.hex for id_ in ids)}}}"  # which takes the driver a tenth of the time
        )
        await self._files.lookup.fetchrow(NOTES, noted, now + RESERVED_FOR)
        self._reserved = ids
        self._usable_until = now + RESERVED_FOR / 2


def _in_one_directory(count: int) -> list[UUID]:
    """Ids that end alike (`key_of`): those who write at the same time then flush one directory."""
    first, *others = (new_id() for _ in range(count))
    ending = first.int & 0xFF
    return [first, *(UUID(int=other.int & ~0xFF | ending) for other in others)]


def _key(target: Target) -> tuple[str, str, str]:
    return target.caller.role, target.caller.name, target.bucket
