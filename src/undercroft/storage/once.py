"""`Idempotency-Key` on the storage plane: the control plane's, for requests of this protocol."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from undercroft.foundation.access import Role
from undercroft.foundation.http.idempotency import (
    KEY_HEADER,
    Fingerprint,
    caller_of_key,
    is_answered,
    is_replayed,
    run_in,
    scope_of,
)
from undercroft.foundation.problems import IdempotencyKeyInUse
from undercroft.storage.blobs import Peeked
from undercroft.storage.callers import Caller
from undercroft.storage.desk import Desk
from undercroft.storage.objects.incoming import Incoming
from undercroft.storage.wire import Answer, Request

# What a request means beside its address and body; of files there is more to it (`Incoming.said`).
DECIDING = ("x-upsert", "x-metadata", "if-match", "if-none-match")


def is_asked(request: Request) -> bool:
    return KEY_HEADER in request.headers


class Once:
    """The key of one request, and what it is compared by, taken while its body streams past."""

    def __init__(self, desk: Desk, request: Request, caller: Caller) -> None:
        self._desk = desk
        # The anon key is everybody's.
        who = caller_of_key() if caller.role == Role.ANON.value else caller.name
        path = "/".join(["", "storage", *request.path])
        query, key = repr(request.query), request.headers[KEY_HEADER]
        self._scope = scope_of(who, request.method, path, query, key)
        self.fingerprint = Fingerprint(*map(request.headers.get, DECIDING))
        self.was_replayed = False

    async def content(self, incoming: Incoming) -> AsyncIterator[bytes]:
        """The bytes of an upload."""
        async for chunk in self.fingerprint.of(incoming.content()):
            yield chunk
        self.fingerprint.add(incoming.said)

    async def is_answered(self) -> bool:
        async with self._desk.files.database.unit_of_work() as session:
            return await is_answered(session, self._scope)

    async def replay(self, incoming: Incoming) -> Answer:
        """The answer to an upload that was done. All of it is read, and none of it kept."""
        await incoming.begin()
        most = int(self._desk.files.settings.max_object_bytes)
        async for _ in Peeked(self.content(incoming), most).all():
            pass
        return await self.run(_expired)

    async def run(self, handle: Callable[[AsyncSession], Awaitable[Answer]]) -> Answer:
        """The answer given before, or that of `handle`, which is kept in its transaction.

        Raises `IdempotencyKeyInUse` and `IdempotencyKeyReused`.
        """
        parts = self._desk.parts
        async with self._desk.files.database.unit_of_work() as session:

            async def handled() -> Response:
                return _response(await handle(session))

            response = await run_in(session, parts, self._scope, self.fingerprint, handled)
        self.was_replayed = is_replayed(response)
        headers = [pair for pair in response.raw_headers if pair[0] != b"content-length"]
        return Answer(response.status_code, bytes(response.body), headers)


async def run_once(
    handler: Callable[[Desk, Request], Awaitable[Answer]], desk: Desk, request: Request
) -> Answer:
    """Have a handler answer whose body is small; what it changes is one transaction."""
    once = Once(desk, request, await request.caller())
    # Before a connection is taken: a body may come as slowly as its sender likes.
    once.fingerprint.add(await request.body())

    async def handle(session: AsyncSession) -> Answer:
        return await handler(replace(desk, files=desk.files.within(session)), request)

    return await once.run(handle)


async def _expired(_session: AsyncSession) -> Answer:
    """It was there a moment ago."""
    raise IdempotencyKeyInUse


def _response(answer: Answer) -> Response:
    assert isinstance(answer.body, bytes)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return Response(answer.body, answer.status, headers)
