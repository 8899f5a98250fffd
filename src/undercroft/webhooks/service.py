"""The verbs on webhooks: make, change, rotate, delete, try, send again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import Keyring
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import enqueue, publish
from undercroft.foundation.outbound import Rules, TargetRefused
from undercroft.foundation.settings import WebhookSettings
from undercroft.webhooks import headers, queries, signing
from undercroft.webhooks.catalogue import PING, Catalogue
from undercroft.webhooks.changes import TableChanges, unwatch, watch
from undercroft.webhooks.errors import (
    ChangesNotOfOrganization,
    TooManyWebhooks,
    UnknownEventTypes,
    WebhookDisabledNow,
    WebhookOrganizationUnknown,
    WebhookTargetRefused,
)
from undercroft.webhooks.events import WebhookCreated, WebhookDeleted, WebhookUpdated
from undercroft.webhooks.jobs import deliver, forget_webhook
from undercroft.webhooks.models import Delivery, DeliveryState, Event, Webhook
from undercroft.webhooks.results import skip_pending
from undercroft.webhooks.schemas import Replay, WebhookCreate


@dataclass(frozen=True, slots=True)
class Desk:
    """What the verbs need beside the session."""

    settings: WebhookSettings
    keyring: Keyring
    rules: Rules
    events: Catalogue


async def create_webhook(
    session: AsyncSession, desk: Desk, new: WebhookCreate, *, actor: Actor
) -> tuple[Webhook, str]:
    """Return the webhook and its secret."""
    _check_target(desk, new.url)
    _check_events(desk, new.events)
    organization_id = await _organization(session, new.organization_id, actor)
    await _watch(session, organization_id, new.changes)
    await _check_room(session, desk, organization_id)
    secret = signing.new_secret()
    webhook = Webhook(
        **new.model_dump(exclude={"organization_id", "headers"}, mode="json"),
        organization_id=organization_id,
        sealed_secret=desk.keyring.seal(signing.SEAL, secret),
        created_by=actor.user_id,
    )
    headers.keep(webhook, desk.keyring, new.headers)
    session.add(webhook)
    await session.flush()
    await session.refresh(webhook)
    publish(session, WebhookCreated(webhook.id, by=actor.user_id))
    return webhook, signing.shown(secret)


async def update_webhook(
    session: AsyncSession, desk: Desk, webhook: Webhook, changes: Mapping[str, Any], *, actor: Actor
) -> Webhook:
    """Switching it on again forgives what went wrong before."""
    if "url" in changes:
        _check_target(desk, changes["url"])
    _check_events(desk, changes.get("events", ()))
    before = _asked(webhook)
    if "changes" in changes:
        await _watch(session, webhook.organization_id, _parsed(changes["changes"]))
    for name, value in changes.items():
        if name == "headers":
            headers.keep(webhook, desk.keyring, value)
        else:
            setattr(webhook, name, value)
    if changes.get("is_enabled") or "url" in changes:
        webhook.failures, webhook.failing_since, webhook.paused_until = 0, None, None
    if "is_enabled" in changes:
        webhook.disabled_reason = None
    await session.flush()
    await session.refresh(webhook)
    if not webhook.is_enabled:
        await skip_pending(session, webhook.id)
    if "changes" in changes:
        await unwatch(session, before)
    await enqueue(session, deliver)
    publish(session, WebhookUpdated(webhook.id, tuple(sorted(changes)), by=actor.user_id))
    return webhook


async def rotate_secret(
    session: AsyncSession, desk: Desk, webhook: Webhook, *, overlap: timedelta | None, actor: Actor
) -> str:
    """Return the new secret. The old one signs too for `overlap`, which may be nothing."""
    span = desk.settings.secret_overlap if overlap is None else overlap
    secret = signing.new_secret()
    if span:
        webhook.sealed_previous, webhook.previous_until = webhook.sealed_secret, utc_now() + span
    else:
        webhook.sealed_previous, webhook.previous_until = None, None
    webhook.sealed_secret = desk.keyring.seal(signing.SEAL, secret)
    await session.flush()
    publish(session, WebhookUpdated(webhook.id, ("secret",), by=actor.user_id))
    return signing.shown(secret)


async def delete_webhook(session: AsyncSession, webhook: Webhook, *, actor: Actor) -> None:
    """Nothing more is sent to it; a job removes its deliveries."""
    left = _asked(webhook)
    await session.delete(webhook)
    await session.flush()
    await unwatch(session, left)
    await enqueue(session, forget_webhook, webhook_id=webhook.id)
    publish(session, WebhookDeleted(webhook.id, by=actor.user_id))


async def ping(session: AsyncSession, desk: Desk, webhook: Webhook) -> Delivery:
    """Queue a delivery that means nothing. Raises `WebhookDisabledNow`."""
    if not webhook.is_enabled:
        raise WebhookDisabledNow
    event = Event(
        id=new_id(),
        type=PING,
        organization_id=webhook.organization_id,
        data={"webhook_id": str(webhook.id)},
    )
    delivery = Delivery(
        id=new_id(),
        webhook_id=webhook.id,
        event_id=event.id,
        event_type=PING,
        tries_left=desk.settings.max_attempts,
    )
    session.add_all([event, delivery])
    await session.flush()
    await session.refresh(delivery)
    await enqueue(session, deliver)
    return delivery


async def replay_delivery(session: AsyncSession, desk: Desk, delivery: Delivery) -> Delivery:
    """Send it again now, with all its tries, whatever became of it; the id stays the same."""
    await _send_again(session, desk, Delivery.id == delivery.id)
    await session.refresh(delivery)
    return delivery


async def replay_since(session: AsyncSession, desk: Desk, webhook: Webhook, replay: Replay) -> int:
    """Send again what was made in a time; return how many deliveries that is."""
    if not webhook.is_enabled:
        raise WebhookDisabledNow
    until = replay.until or utc_now()
    await session.refresh(
        webhook, ["id"], with_for_update={"key_share": True}
    )  # see `results.hold`
    return await _send_again(
        session,
        desk,
        Delivery.webhook_id == webhook.id,
        Delivery.created_at.between(replay.since, until),
        Delivery.state.in_(replay.states),
    )


async def _send_again(session: AsyncSession, desk: Desk, *which: Any) -> int:
    statement = (
        update(Delivery)
        .where(*which)
        .values(
            state=DeliveryState.PENDING,
            tries_left=desk.settings.max_attempts,
            next_attempt_at=func.now(),
            finished_at=None,
        )
        .execution_options(synchronize_session=False)
    )
    found = (await session.execute(statement.returning(Delivery.id))).all()
    await enqueue(session, deliver)
    return len(found)


def _check_target(desk: Desk, url: str) -> None:
    try:
        desk.rules.check(url)
    except TargetRefused as error:
        raise WebhookTargetRefused from error


def _check_events(desk: Desk, asked: Iterable[str]) -> None:
    if unknown := set(asked) - desk.events.types - desk.events.kinds:
        raise UnknownEventTypes(unknown)


async def _watch(
    session: AsyncSession, organization_id: UUID | None, asked: Sequence[TableChanges]
) -> None:
    if asked and organization_id:
        raise ChangesNotOfOrganization
    await watch(session, asked)


def _asked(webhook: Webhook) -> list[TableChanges]:
    return _parsed(webhook.changes)


def _parsed(changes: Iterable[Mapping[str, Any]]) -> list[TableChanges]:
    return [TableChanges.model_validate(entry) for entry in changes]


async def _organization(
    session: AsyncSession, organization_id: UUID | None, actor: Actor
) -> UUID | None:
    """An organization's key makes webhooks of its own organization only."""
    if actor.organization_id and organization_id not in {None, actor.organization_id}:
        raise WebhookOrganizationUnknown
    chosen = organization_id or actor.organization_id
    if chosen and not await queries.has_organization(session, chosen):
        raise WebhookOrganizationUnknown
    return chosen


async def _check_room(session: AsyncSession, desk: Desk, organization_id: UUID | None) -> None:
    # Two who add at once count one after the other.
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended('webhooks:' || :name, 0))")
    await session.execute(lock, {"name": str(organization_id)})
    if await queries.count_webhooks(session, organization_id) >= desk.settings.max_per_organization:
        raise TooManyWebhooks(desk.settings.max_per_organization)
