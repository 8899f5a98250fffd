"""Hears every event of every domain inside its transaction and writes it down there."""

from dataclasses import is_dataclass
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.http.router import RouteCalled
from undercroft.foundation.jobs import Part, listens
from undercroft.operations.activity.changes import change_of
from undercroft.operations.activity.entries import (
    Happening,
    happening_of,
    module_of,
    part_of,
    record,
    sentence,
    target_of,
)
from undercroft.operations.activity.metrics import count_event


def entry_of(event: Any) -> Part | None:
    """What `write_entry` writes of an event that goes with no object of the session."""
    if not is_dataclass(event) or isinstance(event, type):
        return None
    return part_of(happening_of(event, None), committed=partial(count_event, event))


@listens(object, part=entry_of)
async def write_entry(session: AsyncSession, event: Any) -> None:
    """One entry for each event; it exists exactly when the change does."""
    if isinstance(event, RouteCalled):
        await record(session, _of_call(event))
    elif is_dataclass(event) and not isinstance(event, type):
        count_event(event)
        target = target_of(event)
        change = change_of(session.sync_session, target and target[1])
        await record(session, happening_of(event, change))


def _of_call(call: RouteCalled) -> Happening:
    """`create_policy` is `policy.create`; what the path names last is what it was about."""
    verb, _, noun = call.operation.partition("_")
    action = f"{noun}.{verb}" if noun else verb
    *_, last = (None, *call.path.items())
    return Happening(
        action=action,
        module=module_of(call.module),
        message=sentence(action),
        by=call.by,
        target=(last[0].removesuffix("_id"), str(last[1])) if last else None,
        metadata=call.path,
    )


SUBSCRIPTIONS = (write_entry,)
