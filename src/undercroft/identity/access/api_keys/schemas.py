"""API keys on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from undercroft.foundation.fields import Moment
from undercroft.identity.access.schemas import NameToFind


class ApiKeyCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)] = (
        Field(examples=["Nightly import"])
    )
    permissions: list[NameToFind] = Field(max_length=500, examples=[["uploads:create"]])
    organization_id: UUID | None = Field(
        None, description="An organization of yours that the key acts in."
    )
    expires_at: Moment | None = None


class ApiKeyRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    prefix: str = Field(description="The start of the key, to recognise it by.")
    permissions: list[str] = []
    organization_id: UUID | None
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class ApiKeyCreated(ApiKeyRead):
    key: str = Field(description="The key itself. It is shown this once.")
