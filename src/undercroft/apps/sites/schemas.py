"""Sites on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from undercroft import Moment, json_within

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
    Field(examples=["Harbour, east quay"]),
]
Entries = Annotated[list[Any], Field(max_length=1000), json_within(1_048_576)]


class SiteCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    organization_id: UUID | None = Field(
        None, description="Left out: the only organization that you run."
    )


class SiteUpdate(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""


class SiteRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    organization_id: UUID
    name: str
    user_ids: list[UUID] = Field(
        [], description="Whom it is shown to; you alone, unless you run it."
    )
    created_at: datetime
    updated_at: datetime


class SiteUserRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    site_id: UUID
    user_id: UUID
    added_at: datetime


class ViolationCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stream_name: Name
    detected_at: Moment
    detections: Entries = Field([], examples=[[{"label": "no helmet", "box": [10, 20, 60, 90]}]])
    warnings: Entries = Field([], examples=[["Someone is not wearing a helmet."]])
    cone_polygon: Entries = Field([], examples=[[[0, 0], [100, 0], [100, 80]]])
    pole_polygon: Entries = []


class ViolationRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    site_id: UUID
    stream_name: str
    detected_at: datetime
    detections: list[Any]
    warnings: list[Any]
    cone_polygon: list[Any]
    pole_polygon: list[Any]
    has_image: bool
    created_at: datetime


class Deleted(BaseModel):
    deleted: int
