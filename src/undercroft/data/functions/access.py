"""Doors to functions and triggers: found by id, or 404."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header

from undercroft.data.functions import queries
from undercroft.data.functions.errors import DefinitionInvalid
from undercroft.data.functions.models import Definition
from undercroft.data.functions.text import Kind
from undercroft.foundation.http import Session


def finder(kind: Kind, *, lock: bool = False) -> Callable[[UUID, Session], Awaitable[Definition]]:
    """The door to one of a kind; `lock` for who changes it."""

    async def find(definition_id: UUID, session: Session) -> Definition:
        return await queries.get_definition(session, definition_id, kind, lock=lock)

    return find


async def _if_match(if_match: Annotated[str | None, Header(max_length=40)] = None) -> int | None:
    if if_match in {None, "*"}:
        return None
    number = str(if_match).removeprefix("W/").strip('"')
    if not number.isdecimal() or len(number) > 9:
        raise DefinitionInvalid("If-Match is the version that you changed.")
    return int(number)


IfMatch = Annotated[int | None, Depends(_if_match)]
