"""Feature flags on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    model_validator,
)

from undercroft.foundation.fields import Moment
from undercroft.foundation.phrases import Phrase

ENDS_TOO_EARLY = Phrase("ends_too_early", "ends_at must be later than starts_at.")
FeatureName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100),
    Field(description="Lower case; what code and policies ask for.", examples=["new_dashboard"]),
]
Description = Annotated[str, StringConstraints(max_length=1000)]
NameToFind = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class FeatureCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: FeatureName
    description: Description | None = None
    is_active: StrictBool = Field(default=True, description="False: off for everybody.")


class FeatureUpdate(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: FeatureName = ""
    description: Description | None = None
    is_active: StrictBool = True


class FeatureGrants(BaseModel):
    """Whom a feature is on for: any of these is enough. Replaces what was granted before."""

    model_config = ConfigDict(extra="forbid")

    organizations: list[UUID] = Field(default=[], max_length=1000)
    groups: list[NameToFind] = Field(default=[], max_length=100, examples=[["moderator"]])
    users: list[UUID] = Field(default=[], max_length=1000)
    percentage: StrictInt = Field(
        0, ge=0, le=100, description="Share of accounts, always the same ones; 100 is everybody."
    )
    starts_at: Moment | None = Field(None, description="Off before.")
    ends_at: Moment | None = Field(None, description="Off from then on.")

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> "FeatureGrants":
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ENDS_TOO_EARLY.refusal()
        return self


class FeatureRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    description: str | None
    is_active: bool
    percentage: int
    starts_at: datetime | None
    ends_at: datetime | None
    created_at: datetime
    updated_at: datetime


class FeatureDetail(FeatureRead):
    organizations: list[UUID]
    groups: list[str]
    users: list[UUID]


class FeatureNames(BaseModel):
    model_config = ConfigDict(extra="forbid")

    features: list[NameToFind] = Field(max_length=500, examples=[["new_dashboard"]])
