"""The log over HTTP."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from undercroft.foundation.fields import json_within
from undercroft.operations.activity.models import ActorType, Level

ACTION = r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*$"
Small = Annotated[dict[str, Any], json_within(16_384)]

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Short = Annotated[str, StringConstraints(max_length=100)]


class ActivityRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    created_at: datetime
    level: Level
    action: str = Field(description="`noun.verb`, such as `api_key.revoked`.")
    module: str
    message: str
    actor_type: ActorType
    user_id: UUID | None = Field(
        description="Who acted; of a failed sign-in, whose account was tried."
    )
    api_key_id: UUID | None
    session_id: UUID | None
    target_type: str | None
    target_id: str | None
    before: dict[str, Any] | None = Field(description="Without secrets and personal values.")
    after: dict[str, Any] | None
    metadata: dict[str, Any] | None = Field(validation_alias="metadata_")
    error_details: dict[str, Any] | None
    address: str | None
    user_agent: str | None
    device: str | None
    browser: str | None
    os: str | None
    platform: str | None
    endpoint: str | None
    method: str | None
    status_code: int | None
    request_id: str | None
    duration_ms: StrictInt | None = Field(description="Until the change was about to be committed.")


class ActivityCreate(BaseModel):
    """An entry of an application's own. Who, when and from where the server adds itself."""

    model_config = ConfigDict(extra="forbid")

    message: Words
    level: Level = Level.INFO
    action: Annotated[str, StringConstraints(max_length=100, pattern=ACTION)] = "entry.added"
    module: Annotated[str, StringConstraints(max_length=50, pattern=r"^[a-z][a-z0-9_]*$")] = "app"
    target_type: Annotated[str, StringConstraints(max_length=50)] | None = None
    target_id: Annotated[str, StringConstraints(max_length=255)] | None = None
    device: Short | None = None
    browser: Short | None = None
    os: Short | None = None
    platform: Annotated[str, StringConstraints(max_length=50)] = "web"
    endpoint: Annotated[str, StringConstraints(max_length=255)] | None = None
    method: Annotated[str, StringConstraints(max_length=10)] | None = None
    status_code: StrictInt | None = Field(None, ge=100, le=599)
    duration_ms: StrictInt | None = Field(None, ge=0, le=86_400_000)
    metadata: Small = Field(default_factory=dict)
    error_details: Small = Field(default_factory=dict)


class Counted(BaseModel):
    """How many entries have one value."""

    value: str
    count: int


class ActivityStatistics(BaseModel):
    since: datetime
    until: datetime
    total: int
    by_level: list[Counted]
    by_action: list[Counted] = Field(description="The ten most frequent.")
    by_module: list[Counted] = Field(description="The ten most frequent.")


class ActivityPurgeReport(BaseModel):
    deleted: int
    older_than: int = Field(description="Days.")
    complete: bool = Field(description="False: a job takes the rest away.")


ExportFormat = Literal["csv", "ndjson"]
