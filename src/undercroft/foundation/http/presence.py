"""Callers who may go away before they have their answer."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request

from undercroft.foundation.problems import ClientGone

T = TypeVar("T")


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


Waiting = Annotated[Presence, Depends(_presence)]
