"""Permissions and groups on the wire."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

PermissionName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]*:[a-z][a-z0-9_]*$", max_length=100),
    Field(description="`noun:verb`.", examples=["invoices:read"]),
]
GroupCodename = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=100),
    Field(examples=["accountants"]),
]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Description = Annotated[str, StringConstraints(max_length=1000)]
Category = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]
# Looked up, so that an unknown one is told by name; either vocabulary of the catalogue.
NameToFind = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class PermissionRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    codename: str
    name: str
    description: str | None
    category: str
    is_system: bool
    created_at: datetime
    updated_at: datetime


class PermissionCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    codename: PermissionName
    name: Title
    description: Description | None = None
    category: Category = "custom"


class PermissionUpdate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    codename: PermissionName = ""
    name: Title = ""
    description: Description | None = None
    category: Category = ""


class GroupRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    codename: str
    name: str
    description: str | None
    is_system: bool
    is_active: bool
    permissions: list[str] = []
    created_at: datetime
    updated_at: datetime


class GroupCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    codename: GroupCodename
    name: Title
    description: Description | None = None
    is_active: StrictBool = True


class GroupUpdate(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    codename: GroupCodename = ""
    name: Title = ""
    description: Description | None = None
    is_active: StrictBool = True


class GroupPermissions(BaseModel):
    """The whole set, by codename or by id."""

    model_config = ConfigDict(extra="forbid")

    permissions: list[NameToFind] = Field(default=[], max_length=500, examples=[["users:read"]])
    permission_ids: list[UUID] = Field(default=[], max_length=500)


class UserGroups(BaseModel):
    """The whole set of a user's groups."""

    model_config = ConfigDict(extra="forbid")

    groups: list[NameToFind] = Field(
        max_length=100,
        validation_alias=AliasChoices("groups", "group_codenames"),
        examples=[["moderator"]],
    )


class HeldPermission(BaseModel):
    """A permission somebody holds and the groups it comes through."""

    codename: str
    groups: list[str]


class Reason(BaseModel):
    """One thing that was looked at. `allows` is null where it depends on the row."""

    kind: Literal["account", "group", "role", "policy"]
    name: str
    allows: bool | None
    detail: str


class Explanation(BaseModel):
    allowed: bool
    reasons: list[Reason]
