"""From a published event to a row that waits to be sent, in the publisher's transaction.

It is a listener and not a subscriber for two reasons: the event exists exactly when the change
does, and an installation without webhooks pays one small statement per event and no job.
"""

from typing import Any

from pydantic_core import to_json
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import Listener, Part, enqueue
from undercroft.webhooks.catalogue import Catalogue, patterns_of
from undercroft.webhooks.jobs import spread

# Disabled webhooks count: what they missed can be replayed when they are back.
KEEP = text("""
    INSERT INTO webhooks.events (id, type, organization_id, data)
    SELECT :id, :type, :organization_id, CAST(:data AS json)
     WHERE EXISTS (
           SELECT FROM webhooks.webhooks w
            WHERE w.events && CAST(:patterns AS varchar[])
              AND (w.organization_id IS NULL OR w.organization_id = :organization_id))
    RETURNING id
""")
# The same question, where nothing else is written.
ASKED = """
    SELECT FROM webhooks.webhooks w
     WHERE w.events && $1::varchar[]
       AND (w.organization_id IS NULL OR w.organization_id = $2::uuid)
"""


def keeping(catalogue: Catalogue) -> Listener:
    """A listener that keeps what some webhook asked for, and sees that it is sent."""

    async def keep(session: AsyncSession, event: Any) -> None:
        announced = catalogue.announcement_of(event)
        if announced is None:
            return
        values = {
            "id": new_id(),
            "type": announced.type,
            "organization_id": announced.organization_id,
            "data": to_json(announced.event).decode(),
            "patterns": patterns_of(announced.type),
        }
        event_id = await session.scalar(KEEP, values)
        if event_id is not None:
            await enqueue(session, spread, event_id=event_id)

    def unless_asked(event: Any) -> Part | None:
        announced = catalogue.announcement_of(event)
        if announced is None:
            return None
        values = (patterns_of(announced.type), announced.organization_id)
        return Part((), values, unless=ASKED)

    return Listener(object, keep, unless_asked)
