"""What an ORM object was before and is now, noticed when it is written.

A domain that changes its rows through the session has `before` and `after` in its entries without
saying so; one that does not may give its event fields of these names.
"""

from typing import Any

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session

from undercroft.foundation.jobs import OutboxSession
from undercroft.operations.activity.values import told

CHANGES = "undercroft.activity.changes"
Change = tuple[dict[str, Any], dict[str, Any]]
# They move with every write and tell nothing.
CLOCKWORK = frozenset({"updated_at", "last_used_at", "version"})


def change_of(session: Session, target_id: str | None) -> Change | None:
    """(before, after) of the object with this key, as far as this transaction changed it."""
    found: dict[str, Change] = session.info.get(CHANGES, {})
    return found.get(target_id) if target_id else None


@event.listens_for(OutboxSession, "before_flush")
def _notice(session: Session, _context: Any, _instances: Any) -> None:
    changes = session.info.setdefault(CHANGES, {})
    for instance in session.dirty:
        _add(changes, instance, *_difference(instance))
    for instance in session.deleted:
        _add(changes, instance, _columns(instance), {})


def _difference(instance: object) -> Change:
    before, after = {}, {}
    state = inspect(instance)
    for column in state.mapper.column_attrs:
        history = state.attrs[column.key].history
        if history.added and column.key not in CLOCKWORK:
            before[column.key] = history.deleted[0] if history.deleted else None
            after[column.key] = history.added[0]
    return before, after


def _columns(instance: object) -> dict[str, Any]:
    state = inspect(instance)
    keys = (column.key for column in state.mapper.column_attrs)
    return {key: state.dict[key] for key in keys if state.dict.get(key) is not None}


def _add(
    changes: dict[str, Change], instance: object, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """The first `before` of a transaction stands, the last `after` does."""
    identity = inspect(instance).identity
    if not before or not identity or len(identity) > 1:
        return
    earlier = changes.get(str(identity[0]), ({}, {}))
    key = str(identity[0])
    changes[key] = ({**told(before), **earlier[0]}, {**earlier[1], **told(after)})
