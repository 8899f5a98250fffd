"""`/webhooks`: HTTP in and out."""

from datetime import timedelta
from typing import Annotated

from fastapi import Query

from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import CurrentActor, Router, Session, searched_by, sorted_by
from undercroft.realtime.changes import TableNotWatchable
from undercroft.webhooks import queries, schemas, service
from undercroft.webhooks.access import (
    DeliveryToChange,
    DeliveryToRead,
    KnownEvents,
    WebhookDesk,
    WebhookToChange,
    WebhookToRead,
)
from undercroft.webhooks.body import payload_of
from undercroft.webhooks.errors import (
    ChangesNotOfOrganization,
    DeliveryNotFound,
    TooManyWebhooks,
    UnknownEventTypes,
    WatchedColumnUnknown,
    WatchedTableUnknown,
    WebhookDisabledNow,
    WebhookNotFound,
    WebhookOrganizationUnknown,
    WebhookTargetRefused,
)

PERMISSIONS = (
    Permission(
        "webhooks:manage",
        "Send what happens here, rows of any table included, to other servers; see what was sent.",
    ),
)
MANAGE = Needs("webhooks:manage")

router = Router("/webhooks", tag="webhooks")


@router.get("", access=MANAGE)
async def list_webhooks(
    session: Session,
    page: Annotated[PageRequest, sorted_by("created_at", "name", "url")],
    actor: CurrentActor,
    search: Annotated[str | None, searched_by("Part of name or address.")] = None,
) -> Page[schemas.WebhookRead]:
    """All webhooks, newest first; an organization's key sees those of its organization."""
    found, cursor, total = await queries.list_webhooks(session, page, search=search, actor=actor)
    items = [schemas.WebhookRead.model_validate(webhook) for webhook in found]
    return Page[schemas.WebhookRead](items=items, next_cursor=cursor, total=total)


# Before the routes with an id: `events` would not pass for one.
@router.get("/events", access=MANAGE)
async def list_event_types(events: KnownEvents) -> schemas.EventTypeList:
    """What a webhook can ask for, and what each event carries; those of apps, too."""
    items = [
        schemas.EventTypeRead(type=name, fields=events.fields_of(name))
        for name in sorted(events.types)
    ]
    return schemas.EventTypeList(items=items)


@router.post(
    "",
    access=MANAGE,
    status_code=201,
    problems=(
        WebhookTargetRefused,
        UnknownEventTypes,
        WebhookOrganizationUnknown,
        WatchedTableUnknown,
        WatchedColumnUnknown,
        TableNotWatchable,
        ChangesNotOfOrganization,
        TooManyWebhooks,
    ),
)
async def create_webhook(
    new: schemas.WebhookCreate, session: Session, desk: WebhookDesk, actor: CurrentActor
) -> schemas.WebhookCreated:
    """Add a webhook. Its secret is in this answer and in no other."""
    webhook, secret = await service.create_webhook(session, desk, new, actor=actor)
    read = schemas.WebhookRead.model_validate(webhook)
    return schemas.WebhookCreated(**read.model_dump(), secret=secret)


@router.get("/{webhook_id}", access=MANAGE, problems=(WebhookNotFound,))
async def get_webhook(webhook: WebhookToRead) -> schemas.WebhookRead:
    """One webhook and how it is doing."""
    return schemas.WebhookRead.model_validate(webhook)


@router.patch(
    "/{webhook_id}",
    access=MANAGE,
    problems=(
        WebhookNotFound,
        WebhookTargetRefused,
        UnknownEventTypes,
        WatchedTableUnknown,
        WatchedColumnUnknown,
        TableNotWatchable,
        ChangesNotOfOrganization,
    ),
)
async def update_webhook(
    change: schemas.WebhookUpdate,
    webhook: WebhookToChange,
    session: Session,
    desk: WebhookDesk,
    actor: CurrentActor,
) -> schemas.WebhookRead:
    """Change a webhook, or switch it off and on."""
    changes = change.model_dump(exclude_unset=True, mode="json")
    changed = await service.update_webhook(session, desk, webhook, changes, actor=actor)
    return schemas.WebhookRead.model_validate(changed)


@router.delete(
    "/{webhook_id}",
    access=MANAGE,
    status_code=204,
    problems=(WebhookNotFound, TableNotWatchable),
)
async def delete_webhook(webhook: WebhookToChange, session: Session, actor: CurrentActor) -> None:
    """Delete a webhook and the log of its deliveries."""
    await service.delete_webhook(session, webhook, actor=actor)


@router.post("/{webhook_id}/rotate-secret", access=MANAGE, problems=(WebhookNotFound,))
async def rotate_webhook_secret(
    webhook: WebhookToChange,
    session: Session,
    desk: WebhookDesk,
    actor: CurrentActor,
    overlap_seconds: Annotated[
        int | None,
        Query(ge=0, le=2_592_000, description="How long the old secret signs too; 0 ends it now."),
    ] = None,
) -> schemas.WebhookSecret:
    """Make a new secret. Meanwhile every call carries a signature by each of the two."""
    overlap = None if overlap_seconds is None else timedelta(seconds=overlap_seconds)
    secret = await service.rotate_secret(session, desk, webhook, overlap=overlap, actor=actor)
    return schemas.WebhookSecret(secret=secret, previous_until=webhook.previous_until)


@router.post(
    "/{webhook_id}/ping",
    access=MANAGE,
    status_code=202,
    problems=(WebhookNotFound, WebhookDisabledNow),
)
async def ping_webhook(
    webhook: WebhookToRead, session: Session, desk: WebhookDesk
) -> schemas.DeliveryRead:
    """Send a `webhook.ping` to try the target; the delivery shows what became of it."""
    return schemas.DeliveryRead.model_validate(await service.ping(session, desk, webhook))


@router.post(
    "/{webhook_id}/replay",
    access=MANAGE,
    status_code=202,
    problems=(WebhookNotFound, WebhookDisabledNow),
)
async def replay_webhook(
    replay: schemas.Replay, webhook: WebhookToRead, session: Session, desk: WebhookDesk
) -> schemas.Replayed:
    """Send again what failed or was skipped since a time, under the same ids."""
    count = await service.replay_since(session, desk, webhook, replay)
    return schemas.Replayed(replayed=count)


@router.get("/{webhook_id}/deliveries", access=MANAGE, problems=(WebhookNotFound,))
async def list_webhook_deliveries(
    webhook: WebhookToRead,
    session: Session,
    page: Annotated[PageRequest, sorted_by("created_at", "event_type", "state", "attempts")],
    state: Annotated[schemas.State | None, Query()] = None,
    event_type: Annotated[str | None, Query(max_length=100)] = None,
) -> Page[schemas.DeliveryRead]:
    """What was sent or is to be sent, newest first."""
    found, cursor, total = await queries.list_deliveries(
        session, page, webhook.id, state=state, event_type=event_type
    )
    items = [schemas.DeliveryRead.model_validate(delivery) for delivery in found]
    return Page[schemas.DeliveryRead](items=items, next_cursor=cursor, total=total)


@router.get(
    "/{webhook_id}/deliveries/{delivery_id}",
    access=MANAGE,
    problems=(WebhookNotFound, DeliveryNotFound),
)
async def get_webhook_delivery(
    delivery: DeliveryToRead, session: Session
) -> schemas.DeliveryDetail:
    """One delivery: the body that is sent, and every call with the start of its answer."""
    found = await queries.find_event(session, delivery.event_id)
    attempts = await queries.list_attempts(session, delivery.id)
    return schemas.DeliveryDetail(
        **schemas.DeliveryRead.model_validate(delivery).model_dump(),
        payload=payload_of(*found) if found else None,
        attempt_log=[schemas.AttemptRead.model_validate(attempt) for attempt in attempts],
    )


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/replay",
    access=MANAGE,
    status_code=202,
    problems=(WebhookNotFound, DeliveryNotFound),
)
async def replay_webhook_delivery(
    delivery: DeliveryToChange, session: Session, desk: WebhookDesk
) -> schemas.DeliveryRead:
    """Send one delivery again, whatever became of it, under the same id."""
    return schemas.DeliveryRead.model_validate(
        await service.replay_delivery(session, desk, delivery)
    )
