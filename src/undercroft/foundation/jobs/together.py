"""A change and the news of it in one statement, which is a transaction by itself: one round trip.

For what happens thousands of times a second. Everything else publishes in a unit of work.
"""

import re
from functools import lru_cache
from typing import Any

from undercroft.foundation.db import UNWAITED, Database
from undercroft.foundation.jobs.events import Part
from undercroft.foundation.jobs.outbox import registry_of

# What Postgres raises when a part has its `unless`; see migrations/repeated/together.sql.
NOT_TOGETHER = "UCJ01"
NUMBER = re.compile(r"\$(\d+)")


def together(
    database: Database, change: Part, event: object, *, unwaited: bool = False
) -> tuple[str, tuple[Any, ...]] | None:
    """One statement that does `change` and all that `event` has its listeners write.

    It returns the row of the change's first statement; `unwaited` is one for a `Convoy`. None where
    only a unit of work will do: somebody subscribes to the event, or listens and cannot say
    beforehand what they would write.
    """
    registry = registry_of(database)
    if registry.subscriptions_to(event):
        return None
    parts = [change]
    for listener in registry.listeners_to(event):
        if listener.part is None:
            return None
        if part := listener.part(event):
            parts.append(part)
    shapes = tuple((part.statements, part.unless, len(part.values)) for part in parts)
    return _joined(shapes, unwaited=unwaited), tuple(
        value for part in parts for value in part.values
    )


@lru_cache(maxsize=64)
def _joined(shapes: tuple[tuple[tuple[str, ...], str | None, int], ...], *, unwaited: bool) -> str:
    steps: list[str] = []
    objections: list[str] = []
    before = 0
    for statements, unless, values in shapes:
        steps += [_renumbered(statement, before) for statement in statements]
        if unless:
            objections.append(_renumbered(unless, before))
        before += values
    named = ", ".join(f"step{number} AS ({step})" for number, step in enumerate(steps))
    raised = "".join(
        f", (SELECT undercroft.not_together() WHERE EXISTS ({query}))" for query in objections
    )
    if unwaited:
        raised += f", {UNWAITED}"
    return f"WITH {named} SELECT step0.*{raised} FROM step0"  # noqa: S608 - our own statements


def _renumbered(statement: str, before: int) -> str:
    return NUMBER.sub(lambda found: f"${int(found[1]) + before}", statement)
