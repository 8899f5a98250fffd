"""Doors to webhooks and their deliveries: 404 for those of other organizations."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request

from undercroft.foundation.http import CurrentActor, Parts, Session
from undercroft.foundation.outbound import Rules
from undercroft.webhooks import queries
from undercroft.webhooks.catalogue import Catalogue
from undercroft.webhooks.models import Delivery, Webhook
from undercroft.webhooks.service import Desk


async def _webhook(webhook_id: UUID, session: Session, actor: CurrentActor) -> Webhook:
    return await queries.get_webhook(session, webhook_id, actor=actor)


async def _webhook_to_change(webhook_id: UUID, session: Session, actor: CurrentActor) -> Webhook:
    return await queries.get_webhook(session, webhook_id, actor=actor, lock=True)


WebhookToRead = Annotated[Webhook, Depends(_webhook)]
WebhookToChange = Annotated[Webhook, Depends(_webhook_to_change)]


async def _delivery(webhook: WebhookToRead, delivery_id: UUID, session: Session) -> Delivery:
    return await queries.get_delivery(session, webhook.id, delivery_id)


async def _delivery_to_change(
    webhook: WebhookToRead, delivery_id: UUID, session: Session
) -> Delivery:
    return await queries.get_delivery(session, webhook.id, delivery_id, lock=True)


async def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.webhook_catalogue
    return catalogue


KnownEvents = Annotated[Catalogue, Depends(_catalogue)]


async def _desk(parts: Parts, events: KnownEvents) -> Desk:
    rules = Rules(parts.settings.outbound)
    return Desk(parts.settings.webhooks, parts.keyring, rules, events)


DeliveryToRead = Annotated[Delivery, Depends(_delivery)]
DeliveryToChange = Annotated[Delivery, Depends(_delivery_to_change)]
WebhookDesk = Annotated[Desk, Depends(_desk)]
