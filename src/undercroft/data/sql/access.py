"""Doors of the console: its parts, one's own snippets, and callers who may go away."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Request

from undercroft.data.parts import DataParts
from undercroft.data.sql import queries
from undercroft.data.sql.models import SqlSnippet
from undercroft.data.sql.record import Console
from undercroft.foundation.http import CurrentActor, Parts, Session
from undercroft.foundation.problems import ClientGone

T = TypeVar("T")


async def _own_snippet(snippet_id: UUID, session: Session, actor: CurrentActor) -> SqlSnippet:
    return await queries.get_snippet(session, snippet_id, actor=actor)


async def _console(parts: Parts, data: DataParts) -> Console:
    return Console(parts.settings.sql, parts.database, data.developer, data.scripts)


async def _gone(request: Request) -> None:
    """Return when the caller has hung up; the body was read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Presence:
    """Runs work for as long as its caller waits for it."""

    def __init__(self, request: Request) -> None:
        self._request = request

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; it is cancelled, and `ClientGone` raised, when nobody waits."""
        doing, left = asyncio.ensure_future(work), asyncio.ensure_future(_gone(self._request))
        try:
            await asyncio.wait({doing, left}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                raise ClientGone
            return doing.result()
        finally:
            for task in (doing, left):
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task


async def _presence(request: Request) -> Presence:
    return Presence(request)


OwnSnippet = Annotated[SqlSnippet, Depends(_own_snippet)]
TheConsole = Annotated[Console, Depends(_console)]
Caller = Annotated[Presence, Depends(_presence)]
