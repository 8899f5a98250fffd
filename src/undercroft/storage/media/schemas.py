"""Uploads on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

Url = Annotated[str, StringConstraints(min_length=8, max_length=2048)]


class MediaFetch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: Url = Field(examples=["https://images.example.com/cat.jpg"])
    public: StrictBool = Field(
        default=True, description="Whether whoever knows the address may see it."
    )


class MediaRead(BaseModel):
    id: UUID
    owner_id: UUID
    state: Literal["pending", "stored", "failed"] = Field(
        description="`pending` and `failed` are of uploads by URL."
    )
    name: str | None = Field(description="As the sender called it.")
    content_type: str | None = Field(description="By its content.")
    size_bytes: int | None
    public: bool
    url: str | None = Field(description="Public address; null while there is none.")
    error: str | None = Field(description="Why the file could not be fetched.")
    created_at: datetime


class MediaUsage(BaseModel):
    files: int
    used_bytes: int
    max_files: int
    max_bytes: int


class PictureRead(BaseModel):
    picture_url: str | None
