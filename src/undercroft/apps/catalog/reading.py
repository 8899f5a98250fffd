"""Answers out of the cache: the bytes that were sent before, while nothing has changed since."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from fastapi import Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft import CachedReads, PageRequest
from undercroft.apps.catalog.queries import Which
from undercroft.apps.catalog.service import NAMESPACE

SINGLE = timedelta(seconds=30)
LISTED = timedelta(seconds=60)
AUTHOR_OF = timedelta(seconds=180)


async def answer(
    session: AsyncSession,
    reads: CachedReads,
    key: str,
    produce: Callable[[], Awaitable[BaseModel]],
    *,
    life: timedelta,
) -> Response:
    """The JSON of what `produce` returns, from the cache where it is. Problems are not cached."""

    async def make() -> bytes:
        return (await produce()).model_dump_json().encode()

    body = await reads.get(session, NAMESPACE, key, make, life=life)
    return Response(body, media_type="application/json")


def single(noun: str, entry_id: UUID, of: str = "") -> str:
    return f"{noun}:{entry_id}:{of}"


def listed(noun: str, page: PageRequest, which: Which) -> str:
    """One key per distinct question, short however long the question is."""
    question: Any = (page, sorted(_flat(which)))
    return f"{noun}:list:{sha256(repr(question).encode()).hexdigest()}"


def _flat(which: Which) -> list[tuple[str, str]]:
    named = {"sort": which.sort, "search": which.search, "filters": dict(which.filters)}
    bounds = {"at_least": dict(which.at_least), "at_most": dict(which.at_most)}
    return [(name, repr(value)) for name, value in (named | bounds).items()]
