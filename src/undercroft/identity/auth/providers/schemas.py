"""Signing in with others, on the wire."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class ProviderRead(BaseModel):
    name: str
    title: str


class LinkBegun(BaseModel):
    url: str = Field(description="Send the browser there; the answer set a cookie for its return.")


class LinkRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    redirect_to: Annotated[str, Field(max_length=2000)] | None = None


class Exchange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(min_length=1, max_length=512)]
    code_verifier: Annotated[str, Field(min_length=43, max_length=128)]


class IdentityRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    provider: str
    email: str | None
    created_at: datetime
    last_used_at: datetime | None
