"""`Idempotency-Key` on writes: the first answer is kept with the change and replayed.

The answer is stored in the same transaction as what it answers, so there is no moment at which
one exists without the other. It may hold tokens, so it is sealed.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import orjson
from fastapi import Request, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.context import current_request
from undercroft.foundation.http.dependencies import Foundation
from undercroft.foundation.problems import IdempotencyKeyInUse, IdempotencyKeyReused, Invalid

KEY_HEADER = "idempotency-key"
REPLAYED_HEADER = "Idempotency-Replayed"
LONGEST_KEY = 255
SEAL = "idempotency"


class IdempotencyKeyInvalid(Invalid):
    title = "The Idempotency-Key is not valid"
    detail = "Use 1 to {longest} characters."


def is_asked(request: Request) -> bool:
    return KEY_HEADER in request.headers


class Fingerprint:
    """What a request says, taken while its body streams past; with `said` about the body."""

    def __init__(self, *said: object) -> None:
        self._hash = hashlib.sha256(repr(said).encode())

    def add(self, *said: object) -> None:
        """What became known with the body."""
        self._hash.update(repr(said).encode())

    async def of(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._hash.update(chunk)
            yield chunk

    def digest(self) -> bytes:
        return self._hash.digest()


async def run_once(
    request: Request,
    session: AsyncSession,
    parts: Foundation,
    handle: Callable[[Request], Awaitable[Response]],
) -> Response:
    """Run `handle` once per key, caller and route; later calls get the stored answer.

    Raises `IdempotencyKeyInUse` while the first call runs and `IdempotencyKeyReused` when the
    key comes with another body.
    """
    scope = _scope(request)
    # Before a connection is taken: a body may come as slowly as its sender likes.
    fingerprint = hashlib.sha256(await request.body()).digest()
    async with _turn(parts):
        return await _run(session, parts, scope, fingerprint, partial(handle, request))


async def run_streamed_once(
    request: Request,
    session: AsyncSession,
    parts: Foundation,
    fingerprint: Fingerprint,
    handle: Callable[[], Awaitable[Response]],
) -> Response:
    """As `run_once`, by a route that streams its body, once all of that has come.

    Whether the answer is an earlier one says `is_replayed`: what came is then not wanted.
    """
    return await run_in(session, parts, _scope(request), fingerprint, handle)


async def run_in(
    session: AsyncSession,
    parts: Foundation,
    scope: bytes,
    fingerprint: Fingerprint,
    handle: Callable[[], Awaitable[Response]],
) -> Response:
    """As `run_streamed_once`, for a scope of one's own (`scope_of`)."""
    async with _turn(parts):
        return await _run(session, parts, scope, fingerprint.digest(), handle)


async def is_answered(session: AsyncSession, scope: bytes) -> bool:
    return await _find(session, scope) is not None


def is_replayed(response: Response) -> bool:
    return REPLAYED_HEADER in response.headers


class Work(Protocol):
    """A connection in whose transaction the work is done, which cannot see the kept answers."""

    async def fetchval(self, query: str, *args: Any) -> Any: ...


class OnceElsewhere:
    """A key for work that commits in a transaction of another login, and streams its body.

    Its answer is kept before it commits, with the number of its transaction. It counts if that one
    committed: Postgres tells even where this process died in between.
    """

    def __init__(self, request: Request, parts: Foundation, fingerprint: Fingerprint) -> None:
        self._scope = _scope(request)
        self._parts = parts
        self._fingerprint = fingerprint

    async def claim(self, work: Work) -> bool:
        """Hold the key until that transaction ends; whether the work was done already.

        Raises `IdempotencyKeyInUse` while the first call runs.
        """
        lock = (
            "SELECT pg_catalog.pg_try_advisory_xact_lock("
            "pg_catalog.hashtextextended($1::pg_catalog.text, 0::pg_catalog.int8))"
        )
        if not await work.fetchval(lock, self._scope.hex()):
            raise IdempotencyKeyInUse
        async with self._parts.database.unit_of_work() as session:
            return await _find(session, self._scope) is not None

    async def replay(self) -> Response:
        """The answer that was given, once all of the body has come."""
        async with self._parts.database.unit_of_work() as session:
            stored = await _find(session, self._scope)
        if stored is None:
            raise IdempotencyKeyInUse  # it expired this moment
        return _replay(self._parts, stored, self._fingerprint.digest())

    async def keep(self, work: Work, response: Response) -> None:
        """Keep the answer, as the last thing before the work commits."""
        number = "SELECT pg_catalog.pg_current_xact_id()::pg_catalog.text"
        transaction = await work.fetchval(number)
        digest = self._fingerprint.digest()
        async with self._parts.database.unit_of_work() as session:
            await _store(session, self._parts, self._scope, digest, response, transaction)

    async def settle(self) -> None:
        """The work has committed; in a copy of the database its number would mean nothing."""
        statement = text(
            "UPDATE undercroft.idempotency_keys SET transaction = NULL WHERE scope = :scope"
        )
        async with self._parts.database.unit_of_work() as session:
            await session.execute(statement, {"scope": self._scope})


@asynccontextmanager
async def _turn(parts: Foundation) -> AsyncIterator[None]:
    """Only some at once: each holds a connection, and what it runs may need another.

    Were all of the pool held here, everybody would wait for everybody.
    """
    async with asyncio.timeout(parts.settings.database.pool_timeout.total_seconds()):
        await parts.once.acquire()
    try:
        yield
    finally:
        parts.once.release()


async def _run(
    session: AsyncSession,
    parts: Foundation,
    scope: bytes,
    fingerprint: bytes,
    handle: Callable[[], Awaitable[Response]],
) -> Response:
    # Held until this transaction ends, on whichever node it runs.
    locked = await session.scalar(
        text("SELECT pg_try_advisory_xact_lock(hashtextextended(:scope, 0))"),
        {"scope": scope.hex()},
    )
    if not locked:
        raise IdempotencyKeyInUse
    stored = await _find(session, scope)
    if stored is not None:
        return _replay(parts, stored, fingerprint)
    response = await handle()
    await _store(session, parts, scope, fingerprint, response)
    return response


def caller_of_key() -> str:
    """Whose key it is. Who is not signed in shares one name with all others, so the address is."""
    request = current_request()
    actor = request and request.actor
    if actor and actor.half:
        return f"half {actor.half.session_id}"
    if actor and actor.is_signed_in:
        return actor.name
    return f"address {request.address if request else None}"


def _scope(request: Request) -> bytes:
    url = request.url
    return scope_of(
        caller_of_key(), request.method, url.path, url.query, request.headers[KEY_HEADER]
    )


def scope_of(caller: str, method: str, path: str, query: str, key: str) -> bytes:
    """What a key is for. Raises `IdempotencyKeyInvalid`."""
    if not 1 <= len(key) <= LONGEST_KEY:
        raise IdempotencyKeyInvalid(longest=LONGEST_KEY)
    line = f"{caller}\n{method}\n{path}\n{query}\n{key}"
    return hashlib.sha256(line.encode()).digest()


async def _find(session: AsyncSession, scope: bytes) -> Any:
    statement = text(
        "SELECT fingerprint, status, sealed FROM undercroft.idempotency_keys"
        " WHERE scope = :scope AND expires_at > now() AND (transaction IS NULL"
        " OR coalesce(pg_xact_status(transaction) = 'committed', true))"
    )
    return (await session.execute(statement, {"scope": scope})).one_or_none()


def _replay(parts: Foundation, stored: Any, fingerprint: bytes) -> Response:
    if stored.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    kept = orjson.loads(parts.keyring.open(SEAL, stored.sealed))
    headers = kept["headers"] | {REPLAYED_HEADER: "true"}
    return Response(kept["body"].encode(), status_code=stored.status, headers=headers)


async def _store(
    session: AsyncSession,
    parts: Foundation,
    scope: bytes,
    fingerprint: bytes,
    response: Response,
    transaction: str | None = None,
) -> None:
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    kept = {"headers": headers, "body": bytes(response.body).decode()}
    statement = text(
        "INSERT INTO undercroft.idempotency_keys (scope, fingerprint, status, sealed, transaction)"
        " VALUES (:scope, :fingerprint, :status, :sealed, CAST(CAST(:transaction AS text) AS xid8))"
        " ON CONFLICT (scope) DO UPDATE SET fingerprint = excluded.fingerprint,"
        " status = excluded.status, sealed = excluded.sealed, expires_at = DEFAULT,"
        " transaction = excluded.transaction"
    )
    values = {
        "scope": scope,
        "fingerprint": fingerprint,
        "status": response.status_code,
        "sealed": parts.keyring.seal(SEAL, orjson.dumps(kept)),
        "transaction": transaction,
    }
    await session.execute(statement, values)
