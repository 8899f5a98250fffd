"""Organizations on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints

from undercroft.foundation.fields import json_within
from undercroft.identity.organizations.models import OrganizationRole
from undercroft.identity.users.schemas import EmailField

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=255),
    Field(examples=["Difference Engines"]),
]
Slug = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", min_length=2, max_length=63),
    Field(description="Lower-case letters, digits, single hyphens.", examples=["engines"]),
]
UniformNumber = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{8}$"), Field(description="Eight digits.")
]
Description = Annotated[str, StringConstraints(max_length=1000)]
# Every list of organizations carries them.
Settings = Annotated[dict[str, Any], json_within(16_384)]
Streams = Annotated[StrictInt, Field(ge=0, le=1_000_000, description="Needs organizations:manage.")]
Seats = Annotated[
    StrictInt, Field(ge=1, le=1_000_000, description="Null: no limit. Needs organizations:manage.")
]


class OrganizationCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Name
    slug: Slug | None = Field(None, description="Left out: made from the name.")
    description: Description | None = None
    uniform_number: UniformNumber | None = None
    settings: Settings = {}
    owner_id: UUID | None = Field(
        None, description="Somebody else as the owner. Needs organizations:manage."
    )
    max_allowed_streams: Streams = 8
    max_members: Seats | None = None


class OrganizationUpdate(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    slug: Slug = ""
    description: Description | None = None
    uniform_number: UniformNumber | None = None
    settings: Settings = {}
    is_active: StrictBool = Field(default=True, description="Needs organizations:manage.")
    max_allowed_streams: Streams = 8
    max_members: Seats | None = None


class OrganizationRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    slug: str
    description: str | None
    is_active: bool
    uniform_number: str | None
    max_allowed_streams: int
    max_members: int | None
    settings: dict[str, Any]
    role: OrganizationRole | None = Field(None, description="Yours in it.")
    member_count: int = 0
    created_at: datetime
    updated_at: datetime


class MemberRead(BaseModel):
    """The address is shown to owners and admins only."""

    user_id: UUID
    role: OrganizationRole
    joined_at: datetime
    email: str | None
    username: str | None
    first_name: str | None
    last_name: str | None
    display_name: str | None
    picture_url: str | None


class MemberAdd(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_id: UUID
    role: OrganizationRole = OrganizationRole.MEMBER


class MemberUpdate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: OrganizationRole


class InvitationCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    email: EmailField
    role: OrganizationRole = OrganizationRole.MEMBER


class InvitationRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    organization_id: UUID
    email: str
    role: OrganizationRole
    invited_by: UUID | None
    created_at: datetime
    expires_at: datetime


class InvitationSent(InvitationRead):
    token: str | None = Field(
        None, description="Shown to superusers in the development environment; else null."
    )


class Transfer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_id: UUID = Field(description="A member, who becomes an owner.")


class MembershipRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    organization_id: UUID
    user_id: UUID
    role: OrganizationRole
    joined_at: datetime
