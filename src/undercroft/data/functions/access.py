"""Doors to functions and triggers: found by id, or 404."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header

from undercroft.data.functions import queries
from undercroft.data.functions.errors import DefinitionInvalid
from undercroft.data.functions.models import Definition
from undercroft.foundation.http import Session


async def _function(definition_id: UUID, session: Session) -> Definition:
    return await queries.get_definition(session, definition_id, "function")


async def _trigger(definition_id: UUID, session: Session) -> Definition:
    return await queries.get_definition(session, definition_id, "trigger")


async def _function_to_change(definition_id: UUID, session: Session) -> Definition:
    return await queries.get_definition(session, definition_id, "function", lock=True)


async def _trigger_to_change(definition_id: UUID, session: Session) -> Definition:
    return await queries.get_definition(session, definition_id, "trigger", lock=True)


async def _if_match(if_match: Annotated[str | None, Header(max_length=40)] = None) -> int | None:
    if if_match in {None, "*"}:
        return None
    number = str(if_match).removeprefix("W/").strip('"')
    if not number.isdecimal() or len(number) > 9:
        raise DefinitionInvalid("If-Match is the version that you changed.")
    return int(number)


ExistingFunction = Annotated[Definition, Depends(_function)]
ExistingTrigger = Annotated[Definition, Depends(_trigger)]
FunctionToChange = Annotated[Definition, Depends(_function_to_change)]
TriggerToChange = Annotated[Definition, Depends(_trigger_to_change)]
IfMatch = Annotated[int | None, Depends(_if_match)]
