"""`/storage/v1` as a plain ASGI application: the Supabase Storage protocol."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from typing import Any

import structlog
from starlette.types import Receive, Scope, Send

from undercroft.foundation.access import ANONYMOUS, SecondFactorRequired
from undercroft.foundation.http import Foundation
from undercroft.foundation.http.rendering import log_failure, problem_for
from undercroft.foundation.problems import ClientGone, Problem, Unauthorized
from undercroft.foundation.settings import Settings
from undercroft.identity.auth.credentials import read_credentials
from undercroft.identity.auth.gate import Gate
from undercroft.storage.callers import Caller, caller_of
from undercroft.storage.desk import Desk
from undercroft.storage.errors import StorageFull, StorageUnavailable
from undercroft.storage.files import Files
from undercroft.storage.images.resizing import Resizer
from undercroft.storage.links import Links
from undercroft.storage.objects.small import SmallUploads
from undercroft.storage.once import is_asked, run_once
from undercroft.storage.routing import KEYED, find_handler
from undercroft.storage.uploads.protocol import versioned
from undercroft.storage.wire import (
    Answer,
    Refusal,
    Request,
    answer_problem,
    answer_refusal,
    read_request,
)

log = structlog.get_logger()

PREFIX = "/storage/v1"
# Smaller answers are out before anybody could leave.
WATCHED_BYTES = 1_000_000


class StoragePlane:
    def __init__(self, settings: Settings, files: Files, gate: Gate, parts: Foundation) -> None:
        self._gate = gate
        self._desk = Desk(
            files,
            SmallUploads(files),
            Links(parts.keyring, settings.storage),
            Resizer(settings.storage),
            settings,
            parts,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = read_request(scope, receive, PREFIX, self._identify)
        sending = _Sending(send, without_body=request.method == "HEAD")
        try:
            answer = await self._answer(request)
            await sending.send(answer, receive)
        except ClientGone:
            return
        except Problem as problem:
            _log(problem, problem)
            if sending.started:
                raise  # cutting the connection is the only honest end
            await sending.send(answer_problem(problem), receive)

    async def _answer(self, request: Request) -> Answer:
        answer = await self._handle(request)
        return versioned(answer) if request.path[:1] == ["upload"] else answer

    async def _handle(self, request: Request) -> Answer:
        try:
            handler = find_handler(request)
            if is_asked(request) and handler in KEYED:
                return await run_once(handler, self._desk, request)
            return await handler(self._desk, request)
        except Refusal as refusal:
            return answer_refusal(refusal)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - clients of this protocol read its words only
            problem = problem_for(error)
            _log(problem, error)
            return answer_problem(problem)

    async def _identify(self, headers: Mapping[str, str]) -> Caller:
        actor = await self._gate.admit(read_credentials(headers))
        if actor.half:
            raise SecondFactorRequired
        if actor is ANONYMOUS:
            raise Unauthorized
        return caller_of(actor)


class _Sending:
    def __init__(self, send: Send, *, without_body: bool) -> None:
        self._send = send
        self._without_body = without_body
        self.started = False

    async def send(self, answer: Answer, receive: Receive) -> None:
        body = answer.body
        length = len(body) if isinstance(body, bytes) else answer.length
        if length is not None and answer.status not in {204, 304}:
            answer.headers.append((b"content-length", b"%d" % length))
        if isinstance(body, bytes) or self._without_body:
            await self._start(answer)
            content = body if isinstance(body, bytes) and not self._without_body else b""
            await self._send({"type": "http.response.body", "body": content})
            return
        async with aclosing(_generator(body)) as chunks:
            await self._stream(answer, chunks, receive, watched=(length or 0) > WATCHED_BYTES)

    async def _stream(
        self, answer: Answer, chunks: AsyncIterator[bytes], receive: Receive, *, watched: bool
    ) -> None:
        """Start the answer with its first bytes: what cannot be read is still a refusal."""
        first = await anext(chunks, b"")
        await self._start(answer)
        leaving = asyncio.create_task(_until_left(receive)) if watched else None
        try:
            await self._send({"type": "http.response.body", "body": first, "more_body": True})
            async for chunk in chunks:
                if leaving and leaving.done():
                    raise ClientGone
                await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            if leaving:
                leaving.cancel()
                with suppress(asyncio.CancelledError):
                    await leaving

    async def _start(self, answer: Answer) -> None:
        self.started = True
        start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        await self._send(start)


def _log(problem: Problem, error: BaseException) -> None:
    """Of a store that is full or away its own words: every request hits it, none is to blame."""
    if isinstance(problem, StorageFull | StorageUnavailable):
        log.error("request_failed", code=problem.code, cause=repr(error.__cause__))
    else:
        log_failure(problem, error)


async def _generator(body: AsyncIterator[bytes]) -> Any:
    async for chunk in body:
        yield chunk


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
