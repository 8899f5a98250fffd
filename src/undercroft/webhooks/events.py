"""Facts about webhooks."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class WebhookCreated:
    webhook_id: UUID
    by: UUID | None


@dataclass(frozen=True, slots=True)
class WebhookUpdated:
    """`fields` are the names of what changed."""

    webhook_id: UUID
    fields: tuple[str, ...]
    by: UUID | None


@dataclass(frozen=True, slots=True)
class WebhookDeleted:
    webhook_id: UUID
    by: UUID | None


@dataclass(frozen=True, slots=True)
class WebhookDisabled:
    """By us: it failed for too long (`failing`), or it said that it is over (`gone`)."""

    webhook_id: UUID
    organization_id: UUID | None
    reason: str
