"""Sending after the commit. The row says who sends: a claim is committed before the carrier hears.

A worker that dies between the carrier's yes and its own note leaves the row claimed; only when no
try can still be under way is it sent again, because then nobody knows.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, select, update

from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import JobContext, job, schedule
from undercroft.foundation.settings import Environment, NotificationSettings
from undercroft.notifications.carriers import Carrier, Letter
from undercroft.notifications.errors import NotDelivered
from undercroft.notifications.models import Channel, Message, MessageState
from undercroft.notifications.post import Post

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 6


class ClaimedElsewhere(Exception):  # noqa: N818 - makes the queue come back later
    """Another worker has it in hand."""


@job("notifications.send_message", max_attempts=MAX_ATTEMPTS)
async def send_message(context: JobContext, message_id: UUID) -> None:
    post: Post = context.services["post"]
    message = await _claim(context, post, message_id)
    if message is None:
        return
    carrier = post.carriers[Channel(message.channel)]
    try:
        provider_id = await _carry(carrier, post, message)
    except NotDelivered as error:
        final = error.is_final or context.attempt >= MAX_ATTEMPTS
        await _note_failure(context, message, error.reason, final=final)
        if error.is_final:
            return
        raise
    await _note(
        context,
        message.id,
        state=MessageState.SENT,
        provider_id=provider_id[:255],
        sent_at=utc_now(),
        sealed_values=None,
        error=None,
    )


@job("notifications.purge_messages")
async def purge_messages(context: JobContext) -> None:
    """Forget old messages: they tell who was written to and when."""
    oldest = utc_now() - context.settings.notifications.retention
    async with context.unit_of_work() as session:
        await session.execute(delete(Message).where(Message.created_at < oldest))


async def _claim(context: JobContext, post: Post, message_id: UUID) -> Message | None:
    """Take the message for this worker; None when there is nothing left to do."""
    now = utc_now()
    async with context.unit_of_work() as session:
        statement = select(Message).where(Message.id == message_id).with_for_update()
        message: Message | None = await session.scalar(statement)
        if message is None or message.state in {"sent", "failed", "local"}:
            return None
        if message.state == "sending" and _in_hand(message, context.settings.notifications, now):
            raise ClaimedElsewhere
        if message.expires_at and message.expires_at < now:
            message.state, message.sealed_values = MessageState.FAILED, None
            message.error = "it was no longer of use"
            return None
        if Channel(message.channel) not in post.carriers:
            _keep_here(context, post, message)
            return None
        message.state, message.claimed_at = MessageState.SENDING, now
        message.attempts += 1
        return message


def _in_hand(message: Message, settings: NotificationSettings, now: datetime) -> bool:
    longest = 2 * settings.timeout + timedelta(seconds=30)
    return message.claimed_at is not None and message.claimed_at > now - longest


def _keep_here(context: JobContext, post: Post, message: Message) -> None:
    """No carrier is set up: say so once, with the code where only the developer reads the log."""
    message.state = MessageState.LOCAL
    facts: dict[str, Any] = {}
    if context.settings.environment is Environment.DEVELOPMENT:
        values = post.open(message)
        facts = {name: values[name] for name in ("code", "link") if name in values}
    log.warning(
        "message_in_local_outbox",
        kind=message.kind,
        channel=message.channel,
        recipient=message.recipient,
        see="undercroft outbox",
        **facts,
    )


async def _carry(carrier: Carrier, post: Post, message: Message) -> str:
    letter = Letter(message.id, message.recipient, post.render(message))
    return await carrier.carry(letter)


async def _note_failure(context: JobContext, message: Message, reason: str, *, final: bool) -> None:
    if not final:
        await _note(context, message.id, state=MessageState.QUEUED, error=reason)
        return
    log.error("message_failed", message_id=str(message.id), kind=message.kind, reason=reason)
    await _note(
        context, message.id, state=MessageState.FAILED, error=reason[:255], sealed_values=None
    )


async def _note(context: JobContext, message_id: UUID, **values: Any) -> None:
    async with context.unit_of_work() as session:
        await session.execute(update(Message).where(Message.id == message_id).values(**values))


JOBS = (send_message, purge_messages)
SCHEDULES = (schedule(purge_messages, cron="17 3 * * *"),)
