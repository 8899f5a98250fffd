"""Webhooks on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from undercroft.foundation.fields import Moment
from undercroft.webhooks.changes import TableChanges
from undercroft.webhooks.headers import Headers

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Url = Annotated[str, StringConstraints(min_length=8, max_length=2048)]
EventPattern = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Events = Annotated[
    list[EventPattern],
    Field(
        max_length=100,
        description="Names of `GET /webhooks/events`; `user.*` is all of a kind, `*` everything.",
        examples=[["user.created", "organization.*"]],
    ),
]
Changes = Annotated[
    list[TableChanges],
    Field(
        max_length=50,
        description="Tables whose changes are told, whole rows, whoever may see them.",
    ),
]
State = Literal["pending", "delivered", "dead", "skipped"]


class WebhookCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name = Field(examples=["CRM"])
    url: Url = Field(examples=["https://crm.example.com/hooks/undercroft"])
    events: Events = []
    changes: Changes = []
    headers: Headers = {}
    organization_id: UUID | None = Field(
        None, description="Only what happens in this organization. Left out: the whole platform."
    )
    is_enabled: StrictBool = True


class WebhookUpdate(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    url: Url = ""
    events: Events = []
    changes: Changes = []
    headers: Headers = {}
    is_enabled: StrictBool = Field(
        default=True, description="True ends a pause and forgets failures."
    )


class WebhookRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    url: str
    events: list[str]
    changes: list[TableChanges]
    header_names: list[str] = Field(description="Headers of yours on every call.")
    organization_id: UUID | None
    is_enabled: bool
    disabled_reason: str | None = Field(
        description="`failing` or `gone` where we switched it off ourselves."
    )
    failures: int = Field(description="Calls that failed since the last that did not.")
    failing_since: datetime | None
    previous_until: datetime | None = Field(
        description="Until then the secret before this one signs too."
    )
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime


class WebhookCreated(WebhookRead):
    secret: str = Field(description="What signatures are made with. It is shown this once.")


class WebhookSecret(BaseModel):
    secret: str = Field(description="The new secret. It is shown this once.")
    previous_until: datetime | None = Field(description="Until then the old one signs too.")


class EventTypeRead(BaseModel):
    type: str
    fields: list[str] = Field(description="Members of `data`.")


class EventTypeList(BaseModel):
    items: list[EventTypeRead]


class DeliveryRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    event_id: UUID = Field(description="The `webhook-id` of every call.")
    event_type: str
    state: State
    attempts: int
    next_attempt_at: datetime | None
    status: int | None = Field(description="HTTP status of the last call, null without an answer.")
    duration_ms: int | None = Field(description="Of the last call.")
    error: str | None = Field(description="Why the last call failed.")
    created_at: datetime
    finished_at: datetime | None


class AttemptRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    number: int
    started_at: datetime
    status: int | None
    duration_ms: int
    error: str | None
    response: str | None = Field(description="The start of the answer's body.")


class DeliveryDetail(DeliveryRead):
    payload: dict[str, Any] | None = Field(description="The body of the calls.")
    attempt_log: list[AttemptRead]


class Replay(BaseModel):
    model_config = ConfigDict(extra="forbid")

    since: Moment
    until: Moment | None = None
    states: list[Literal["delivered", "dead", "skipped"]] = Field(
        default=["dead", "skipped"],
        min_length=1,
        max_length=3,
        description="Which deliveries are sent again; with `delivered` receivers get doubles.",
    )


class Replayed(BaseModel):
    replayed: int
