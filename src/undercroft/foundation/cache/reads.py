"""Cached reads that are never staler than the last write that was answered.

A value carries the generation under which it was read. Before a writer commits it puts its mark
into Valkey, and while a mark is there nobody reads from the cache or fills it; after the commit
and before the answer it replaces the generation and takes the mark back. So a slow reader can only
put back a value that nobody accepts any more, and a writer that dies leaves a mark that outlives
every value. A generation belongs to one run of the server: what a restarted or promoted one still
holds is not accepted either.

Who misses what another request of this process is making already, under the same generation, takes
what that one makes: many readers at once are one question to Postgres.

A writer that cannot reach Valkey raises the epoch in Postgres instead, which is part of every
value too, and waits until every process has heard of it or noticed that it hears nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_only

from undercroft.foundation.cache.client import Cache
from undercroft.foundation.ids import new_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft.foundation.db import Listener

log = structlog.get_logger()

CHANNEL = "undercroft_cache"
WRITTEN = "undercroft.cache.written"
# Longer than the longest value's life and the longest request together.
MARK_SECONDS = 1200
LONGEST_LIFE = timedelta(minutes=15)
# A process pings its listening connection every 0.4 s and gives up on it after as long again.
ALL_HAVE_HEARD_SECONDS = 1.0
RETRY_SECONDS = 1.0

# One round trip. `run_id` differs after a restart and on a promoted replica.
FUNCTIONS = """
if redis.replicate_commands then redis.replicate_commands() end
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or '-'
local function generation()
    local found = redis.call('GET', KEYS[1])
    if found and string.sub(found, 1, #run) == run then return found end
    found = run .. '/' .. ARGV[1]
    redis.call('SET', KEYS[1], found)
    return found
end
"""
# KEYS generation, marks, value; ARGV a fresh word, epoch. Nothing while a writer is at work.
READ = (
    FUNCTIONS
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', redis.call('TIME')[1])
if redis.call('EXISTS', KEYS[2]) == 1 then return false end
local head = generation() .. ' ' .. ARGV[2] .. '\\n'
local value = redis.call('GET', KEYS[3])
if value and string.sub(value, 1, #head) == head then
    return {head, string.sub(value, #head + 1)}
end
return {head, false}
"""
)
# KEYS generation, marks; ARGV mark, seconds.
MARK = (
    FUNCTIONS
    + """
redis.call('ZADD', KEYS[2], redis.call('TIME')[1] + ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
"""
)
# KEYS generation, marks; ARGV a fresh word, mark.
RENEW = (
    FUNCTIONS
    + """
redis.call('SET', KEYS[1], run .. '/' .. ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[2])
return 1
"""
)

Produce = Callable[[], Awaitable[bytes]]
# Namespace, key, and the generation under which it is made.
Making = tuple[str, str, bytes]
EPOCH = text("SELECT epoch FROM undercroft.cache_epochs WHERE namespace = :namespace")
RAISE_EPOCH = text(
    "INSERT INTO undercroft.cache_epochs (namespace) VALUES (:namespace)"
    " ON CONFLICT (namespace) DO UPDATE SET epoch = cache_epochs.epoch + 1"
)
TELL = text("SELECT pg_notify(:channel, :namespace)")


class CachedReads:
    """What one process knows about the cache; made once, before its listener starts."""

    def __init__(self, cache: Cache, listener: "Listener") -> None:
        self._cache = cache
        self._listener = listener
        self._epochs: dict[str, int] = {}
        self._heard = 0
        self._retry_at = 0.0
        self._making: dict[Making, asyncio.Future[bytes | None]] = {}
        register = cache.client.register_script
        self._read, self._mark, self._renew = register(READ), register(MARK), register(RENEW)
        listener.on(CHANNEL, lambda _namespace: self._forget())
        listener.when_deaf(self._forget)

    async def get(
        self,
        session: AsyncSession,
        namespace: str,
        key: str,
        produce: Produce,
        *,
        life: timedelta,
    ) -> bytes:
        """The cached value of `key`, or what `produce` makes of it now, from Postgres.

        `produce` reads through `session`, whose statements each see what is committed by then.
        Without Valkey every call produces.
        """
        assert life <= LONGEST_LIFE, "a mark must outlive every value"
        epoch = await self._epoch(session, namespace)
        found = await self._ask(namespace, key, epoch)
        if found is None:
            return await produce()
        head, value = found
        if value is not None:
            return bytes(value)
        making = (namespace, key, bytes(head))
        if (others := self._making.get(making)) and (made := await asyncio.shield(others)):
            return made
        return await self._make(making, produce, life)

    async def _make(self, making: Making, produce: Produce, life: timedelta) -> bytes:
        """Make and keep it, while others wait for it; if it fails they make their own."""
        namespace, key, head = making
        result = self._making[making] = asyncio.get_running_loop().create_future()
        made: bytes | None = None
        try:
            made = await produce()
            await self._keep(namespace, key, head + made, life)
            return made
        finally:
            if self._making.get(making) is result:
                del self._making[making]
            result.set_result(made)

    async def written(
        self, session: AsyncSession, namespace: str, *, promised: bool = True
    ) -> None:
        """Say that this transaction changes what is cached; call it before the commit.

        When the transaction has ended, and before its door answers, nothing older is served. Where
        that is not `promised`, a writer that cannot reach Valkey goes on: values expire.
        """
        written: dict[str, _Written] = session.info.setdefault(WRITTEN, {})
        if namespace in written:
            return
        mark = new_id().hex
        reached = await self._try(self._mark, namespace, [mark, MARK_SECONDS])
        if not reached and not promised:
            return
        written[namespace] = _Written(self, mark, reached)
        if not reached:
            await session.execute(RAISE_EPOCH, {"namespace": namespace})
            await session.execute(TELL, {"channel": CHANNEL, "namespace": namespace})

    async def ended(self, namespace: str, mark: str, *, reached: bool) -> None:
        """The transaction of a writer is over, whichever way."""
        self._forget()
        await self._try(self._renew, namespace, [new_id().hex, mark])
        if not reached:
            await asyncio.sleep(ALL_HAVE_HEARD_SECONDS)

    async def _epoch(self, session: AsyncSession, namespace: str) -> int:
        known = self._epochs.get(namespace)
        if known is not None and self._listener.hearing:
            return known
        heard = self._heard
        epoch = int(await session.scalar(EPOCH, {"namespace": namespace}) or 0)
        if heard == self._heard and self._listener.hearing:
            self._epochs[namespace] = epoch
        return epoch

    def _forget(self) -> None:
        self._heard += 1
        self._epochs.clear()

    async def _ask(self, namespace: str, key: str, epoch: int) -> Any:
        """(head, value or None); None when the cache is not to be used."""
        if time.monotonic() < self._retry_at:
            return None
        keys = [*self._keys(namespace), self._key(namespace, key)]
        async with self._tolerant():
            return await self._read(keys=keys, args=[new_id().hex, epoch])
        return None

    async def _keep(self, namespace: str, key: str, value: bytes, life: timedelta) -> None:
        async with self._tolerant():
            await self._cache.client.set(self._key(namespace, key), value, px=life)

    async def _try(self, script: Any, namespace: str, arguments: list[Any]) -> bool:
        async with self._tolerant():
            await script(keys=self._keys(namespace), args=arguments)
            return True
        return False

    @asynccontextmanager
    async def _tolerant(self) -> "AsyncIterator[None]":
        """Without Valkey we serve from Postgres, and ask Valkey again a moment later."""
        try:
            yield
        except self._cache.ERRORS as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            log.warning("reads_not_cached", cause=str(error))

    def _keys(self, namespace: str) -> list[str]:
        return [self._key(namespace, "generation"), self._key(namespace, "marks")]

    def _key(self, namespace: str, key: str) -> str:
        # Braces: in a cluster one script may touch only what lies in one slot.
        return self._cache.key("reads", f"{{{namespace}}}", key)


class _Written(NamedTuple):
    """What a transaction owes to the cache at its end."""

    reads: CachedReads
    mark: str
    reached: bool


@event.listens_for(Session, "after_transaction_end")
def _settle(session: Session, transaction: SessionTransaction) -> None:
    """Whoever commits and however: no path can forget it. Savepoints do not count."""
    if transaction.parent is None and (written := session.info.pop(WRITTEN, None)):
        for namespace, (reads, mark, reached) in written.items():
            await_only(reads.ended(namespace, mark, reached=reached))
