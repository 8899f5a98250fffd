"""What a call's outcome means for its delivery and for its webhook."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, insert, null, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.jobs import publish
from undercroft.foundation.settings import WebhookSettings
from undercroft.webhooks.events import WebhookDisabled
from undercroft.webhooks.metrics import CALLS, DELIVERIES
from undercroft.webhooks.models import Attempt, Delivery, DeliveryState, Webhook

# From here on a target counts as down: it is tried once in a while, and not by every delivery.
DOWN_AFTER = 5
GONE = 410
RETRY_FACTOR = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call ended. `status` is None where there was no answer, and `error` says why."""

    started_at: datetime
    duration: timedelta
    status: int | None = None
    error: str | None = None
    response: str | None = None
    retry_after: timedelta | None = None

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


async def hold(session: AsyncSession, deliveries: Iterable[Delivery]) -> None:
    """Lock all that `note` will write: webhooks before deliveries, and each in the order of ids.

    Who changes a webhook, or forgets many deliveries, locks in the same order or waits for nobody.
    """
    noted = list(deliveries)
    for column, ids in (
        (Webhook.id, {delivery.webhook_id for delivery in noted}),
        (Delivery.id, {delivery.id for delivery in noted}),
    ):
        statement = select(column).where(column.in_(ids)).order_by(column)
        await session.execute(statement.with_for_update(key_share=True))


async def note(
    session: AsyncSession, settings: WebhookSettings, delivery: Delivery, outcome: Outcome
) -> None:
    """Write the call into the log and decide what comes next."""
    CALLS.labels("succeeded" if outcome.succeeded else outcome.error or "refused").inc()
    number = await _note_delivery(session, settings, delivery, outcome)
    if number is None:
        return
    attempt = {
        "delivery_id": delivery.id,
        "number": number,
        "started_at": outcome.started_at,
        "status": outcome.status,
        "duration_ms": _milliseconds(outcome),
        "error": outcome.error,
        "response": outcome.response,
    }
    await session.execute(insert(Attempt).values(attempt))
    if outcome.succeeded:
        await _note_health(session, delivery.webhook_id)
    else:
        await _note_failure(session, settings, delivery.webhook_id, outcome)


async def skip_pending(session: AsyncSession, webhook_id: UUID) -> None:
    """What waited for a webhook that is switched off; a replay brings it back."""
    await session.execute(
        update(Delivery)
        .where(Delivery.webhook_id == webhook_id, Delivery.state == DeliveryState.PENDING)
        .values(state=DeliveryState.SKIPPED, finished_at=func.now(), next_attempt_at=None)
        .execution_options(synchronize_session=False)
    )


async def _note_delivery(
    session: AsyncSession, settings: WebhookSettings, delivery: Delivery, outcome: Outcome
) -> int | None:
    """Return the number of the attempt; None when the delivery is gone."""
    values = {
        "attempts": Delivery.attempts + 1,
        "tries_left": func.greatest(Delivery.tries_left - 1, 0),
        "claimed_until": None,
        "status": outcome.status,
        "duration_ms": _milliseconds(outcome),
        "error": outcome.error,
        **(_done() if outcome.succeeded else _to_do(settings, delivery, outcome)),
    }
    statement = (
        update(Delivery)
        .where(Delivery.id == delivery.id)
        .values(values)
        .returning(Delivery.attempts, Delivery.state)
        .execution_options(synchronize_session=False)
    )
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return None
    if row.state != DeliveryState.PENDING:
        DELIVERIES.labels(row.state).inc()
    return int(row.attempts)


def _done() -> dict[str, Any]:
    return {
        "state": DeliveryState.DELIVERED,
        "next_attempt_at": None,
        "finished_at": func.now(),
    }


def _to_do(settings: WebhookSettings, delivery: Delivery, outcome: Outcome) -> dict[str, Any]:
    """Dead after the last try; skipped stays skipped, since the webhook was switched off."""
    spent = settings.max_attempts - delivery.tries_left
    pause = max(_pause(spent, settings), outcome.retry_after or timedelta())
    is_last = (Delivery.state == DeliveryState.PENDING) & (Delivery.tries_left <= 1)
    is_over = is_last | (Delivery.state != DeliveryState.PENDING)
    return {
        "state": case((is_last, DeliveryState.DEAD.value), else_=Delivery.state),
        "next_attempt_at": case((is_over, null()), else_=utc_now() + pause),
        "finished_at": case((is_over, func.now()), else_=null()),
    }


async def _note_health(session: AsyncSession, webhook_id: UUID) -> None:
    # Without a change there is no write: a busy webhook's row would be a queue of its own.
    await session.execute(
        update(Webhook)
        .where(Webhook.id == webhook_id, Webhook.failures > 0)
        .values(failures=0, failing_since=None, paused_until=None)
        .execution_options(synchronize_session=False)
    )


async def _note_failure(
    session: AsyncSession, settings: WebhookSettings, webhook_id: UUID, outcome: Outcome
) -> None:
    now = utc_now()
    statement = (
        update(Webhook)
        .where(Webhook.id == webhook_id, Webhook.is_enabled)
        .values(
            failures=Webhook.failures + 1,
            failing_since=func.coalesce(Webhook.failing_since, now),
        )
        .returning(Webhook)
        .execution_options(populate_existing=True)
    )
    webhook: Webhook | None = await session.scalar(statement)
    if webhook is None:
        return
    if webhook.failures >= DOWN_AFTER:
        pause = settings.first_retry * 2 ** min(webhook.failures - DOWN_AFTER, 20)
        webhook.paused_until = now + _cut(min(pause, settings.longest_pause))
    assert webhook.failing_since
    if outcome.status == GONE:
        await _disable(session, webhook, "gone")
    elif now - webhook.failing_since > settings.disable_after:
        await _disable(session, webhook, "failing")
    await session.flush()


async def _disable(session: AsyncSession, webhook: Webhook, reason: str) -> None:
    webhook.is_enabled, webhook.disabled_reason = False, reason
    await skip_pending(session, webhook.id)
    publish(session, WebhookDisabled(webhook.id, webhook.organization_id, reason))


def _pause(spent: int, settings: WebhookSettings) -> timedelta:
    """Before the next try, when `spent` tries had been made before this one."""
    full = settings.first_retry * RETRY_FACTOR ** min(max(spent, 0), 16)
    return _cut(min(full, settings.longest_retry))


def _cut(full: timedelta) -> timedelta:
    """At random by up to half: what failed together must not come back together."""
    return full * random.uniform(0.5, 1)  # noqa: S311 - nothing is guarded by it


def _milliseconds(outcome: Outcome) -> int:
    return int(outcome.duration.total_seconds() * 1000)
