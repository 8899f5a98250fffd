"""A change and the news of it in one statement, which is a transaction by itself: one round trip.

For what happens thousands of times a second. Everything else publishes in a unit of work.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import UNWAITED, Database, fetch_within
from undercroft.foundation.jobs.events import LONGER, Part
from undercroft.foundation.jobs.outbox import registry_of

# What Postgres raises when a listener's part has its `unless`, and when the change has;
# see migrations/repeated/together.sql.
NOT_TOGETHER, NOT_AT_ONCE = "UCJ01", "UCJ02"
NUMBER = re.compile(r"\$(\d+)")
# Then it is tried again whether somebody still has to hear of it.
LONG_WAY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Joined:
    """One statement of several parts."""

    statement: str
    values: tuple[Any, ...]
    parts: Sequence[Part]

    def committed(self) -> None:
        """Tell who wanted to know."""
        for part in self.parts:
            if part.committed:
                part.committed()


class Together:
    """Runs changes with their news, and remembers of which it took a longer way."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._long_way_until: dict[type, datetime] = {}

    async def run(self, change: Part, event: object) -> Any | None:
        """The row of the change's first statement; None where only a unit of work will do.

        Nothing is done then.
        """
        now, kind = utc_now(), type(event)
        if self._database.settings.pooled or now < self._long_way_until.get(kind, now):
            return None
        joined = together(self._database, change, event)
        if joined is None:
            return None
        try:
            row = await self._database.fetch_alone(joined.statement, joined.values)
        except asyncpg.PostgresError as error:
            if error.sqlstate not in {NOT_TOGETHER, NOT_AT_ONCE}:
                raise
            if error.sqlstate == NOT_TOGETHER:
                self._long_way_until[kind] = now + LONG_WAY
            return None
        joined.committed()
        return row


async def run_part(session: AsyncSession, change: Part) -> Any:
    """Do the change alone in a unit of work, and return the row of its first statement."""
    return await fetch_within(session, _joined((_shape(change, check=False),)), change.values)


def together(
    database: Database, change: Part, event: object, *, unwaited: bool = False
) -> Joined | None:
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
        part = listener.part(event) if listener.part else LONGER
        if part is LONGER:
            return None
        if part:
            parts.append(part)
    statement = _joined(tuple(_shape(part) for part in parts), unwaited=unwaited)
    return Joined(statement, tuple(value for part in parts for value in part.values), parts)


_Shape = tuple[tuple[str, ...], str | None, int]


def _shape(part: Part, *, check: bool = True) -> _Shape:
    return part.statements, part.unless if check else None, len(part.values)


@lru_cache(maxsize=64)
def _joined(shapes: tuple[_Shape, ...], *, unwaited: bool = False) -> str:
    steps: list[str] = []
    objections: list[str] = []
    before = 0
    for number, (statements, unless, values) in enumerate(shapes):
        steps += [_renumbered(statement, before) for statement in statements]
        if unless:
            objection = "not_together" if number else "not_at_once"
            query = _renumbered(unless, before)
            objections.append(f"(SELECT undercroft.{objection}() WHERE EXISTS ({query}))")
        before += values
    named = ", ".join(f"step{number} AS ({step})" for number, step in enumerate(steps))
    told = "".join(f", {term}" for term in (*objections, *([UNWAITED] if unwaited else [])))
    return f"WITH {named} SELECT step0.*{told} FROM step0"  # noqa: S608 - our own statements


def _renumbered(statement: str, before: int) -> str:
    return NUMBER.sub(lambda found: f"${int(found[1]) + before}", statement)
