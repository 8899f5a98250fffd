"""Every SELECT on webhooks and their deliveries, but the pump's own."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.db import PageRequest, Sorts, containing, paginate
from undercroft.identity.organizations.models import Organization
from undercroft.webhooks.errors import DeliveryNotFound, WebhookNotFound
from undercroft.webhooks.models import Attempt, Delivery, DeliveryState, Event, Webhook

Paged = tuple[list[Webhook], str | None, int | None]


def visible(actor: Actor) -> ColumnElement[bool]:
    """A key of an organization sees that organization's; others who may manage see all."""
    if actor.organization_id is None:
        return Webhook.id.is_not(None)
    return Webhook.organization_id == actor.organization_id


async def list_webhooks(
    session: AsyncSession, page: PageRequest, *, search: str | None, actor: Actor
) -> Paged:
    """Newest first. `search` is a part of name or address."""
    statement = select(Webhook).where(visible(actor))
    if search:
        statement = statement.where(containing(search, Webhook.name, Webhook.url))
    keys = (Webhook.created_at, Webhook.id)
    sorts: Sorts = {"created_at": Webhook.created_at, "name": Webhook.name, "url": Webhook.url}
    return await paginate(session, statement, page, keys=keys, sorts=sorts)


async def get_webhook(
    session: AsyncSession, webhook_id: UUID, *, actor: Actor, lock: bool = False
) -> Webhook:
    """Raises `WebhookNotFound`."""
    statement = select(Webhook).where(Webhook.id == webhook_id, visible(actor))
    if lock:
        statement = statement.with_for_update()
    webhook: Webhook | None = await session.scalar(statement)
    if webhook is None:
        raise WebhookNotFound
    return webhook


async def get_webhook_by_id(session: AsyncSession, webhook_id: UUID) -> Webhook:
    """For the server's own shell, which sees all. Raises `WebhookNotFound`."""
    webhook = await session.get(Webhook, webhook_id)
    if webhook is None:
        raise WebhookNotFound
    return webhook


async def overview(session: AsyncSession) -> list[dict[str, Any]]:
    """Every webhook with how many deliveries it has in each state, newest first."""
    states = (DeliveryState.PENDING, DeliveryState.DEAD, DeliveryState.SKIPPED)
    counts = [
        select(func.count())
        .where(Delivery.webhook_id == Webhook.id, Delivery.state == state)
        .scalar_subquery()
        .label(state.value)
        for state in states
    ]
    statement = select(
        Webhook.id,
        Webhook.name,
        Webhook.url,
        Webhook.is_enabled,
        Webhook.disabled_reason,
        Webhook.failures,
        *counts,
    ).order_by(Webhook.created_at.desc(), Webhook.id)
    return [dict(row._mapping) for row in await session.execute(statement)]  # noqa: SLF001 - SQLAlchemy's public name


async def count_webhooks(session: AsyncSession, organization_id: UUID | None) -> int:
    """Of one organization; None counts those of the platform."""
    statement = select(func.count()).select_from(Webhook)
    mine = Webhook.organization_id.is_not_distinct_from(organization_id)
    return await session.scalar(statement.where(mine)) or 0


async def has_organization(session: AsyncSession, organization_id: UUID) -> bool:
    return await session.get(Organization, organization_id) is not None


async def list_deliveries(
    session: AsyncSession,
    page: PageRequest,
    webhook_id: UUID,
    *,
    state: str | None,
    event_type: str | None,
) -> tuple[list[Delivery], str | None, int | None]:
    """Newest first."""
    statement = select(Delivery).where(Delivery.webhook_id == webhook_id)
    if state:
        statement = statement.where(Delivery.state == state)
    if event_type:
        statement = statement.where(Delivery.event_type == event_type)
    keys = (Delivery.created_at, Delivery.id)
    sorts: Sorts = {
        "created_at": Delivery.created_at,
        "event_type": Delivery.event_type,
        "state": Delivery.state,
        "attempts": Delivery.attempts,
    }
    return await paginate(session, statement, page, keys=keys, sorts=sorts)


async def get_delivery(
    session: AsyncSession, webhook_id: UUID, delivery_id: UUID, *, lock: bool = False
) -> Delivery:
    """Raises `DeliveryNotFound`."""
    statement = select(Delivery).where(
        Delivery.id == delivery_id, Delivery.webhook_id == webhook_id
    )
    if lock:
        statement = statement.with_for_update()
    delivery: Delivery | None = await session.scalar(statement)
    if delivery is None:
        raise DeliveryNotFound
    return delivery


async def find_event(session: AsyncSession, event_id: UUID) -> tuple[Event, str] | None:
    """With its data as Postgres writes them."""
    statement = select(Event, cast(Event.data, Text)).where(Event.id == event_id)
    row = (await session.execute(statement)).one_or_none()
    return None if row is None else (row[0], row[1])


async def list_attempts(session: AsyncSession, delivery_id: UUID) -> list[Attempt]:
    """In the order they were made."""
    statement = select(Attempt).where(Attempt.delivery_id == delivery_id).order_by(Attempt.number)
    return list(await session.scalars(statement))
