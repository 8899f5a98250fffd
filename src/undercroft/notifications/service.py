"""The verbs on messages: queue one, list what there is."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import enqueue
from undercroft.notifications.jobs import send_message
from undercroft.notifications.models import Channel, Message
from undercroft.notifications.post import Post
from undercroft.notifications.templates import Content, Kind


async def queue_message(
    session: AsyncSession,
    post: Post,
    kind: Kind,
    *,
    channel: Channel,
    recipient: str,
    language: str,
    values: Mapping[str, Any],
    expires_at: datetime | None = None,
) -> UUID:
    """Send after this transaction commits, unless `expires_at` has passed by then."""
    message = Message(
        id=new_id(),
        kind=kind.value,
        channel=channel.value,
        recipient=recipient,
        language=language,
        sealed_values=post.seal(values),
        expires_at=expires_at,
    )
    session.add(message)
    await session.flush()
    await enqueue(session, send_message, message_id=message.id)
    return message.id


async def list_messages(
    session: AsyncSession, *, limit: int = 20, recipient: str | None = None
) -> list[Message]:
    """Newest first."""
    statement = select(Message).order_by(Message.created_at.desc(), Message.id.desc()).limit(limit)
    if recipient:
        statement = statement.where(Message.recipient == recipient)
    return list(await session.scalars(statement))


def read_content(post: Post, message: Message) -> Content | None:
    """What the message says; None once it was sent, when its content is forgotten."""
    return None if message.sealed_values is None else post.render(message)
