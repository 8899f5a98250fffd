"""Accounts on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from undercroft.foundation.fields import json_within
from undercroft.identity.users.models import UserStatus, UserType

# It travels in every token of the account.
Metadata = Annotated[dict[str, Any], json_within(2048)]

# `ind` is what a system before us called Indonesian.
Language = Annotated[
    Literal["en", "ar", "id", "fr", "es", "de", "it", "pt"],
    BeforeValidator(lambda value: "id" if value == "ind" else value),
]

# What systems before us called the same field; all are accepted.
IdentifierField = Annotated[
    str,
    Field(
        validation_alias=AliasChoices(
            "identifier", "email", "phone_number", "phone", "username", "user_id"
        ),
        min_length=1,
        max_length=320,
        description="E-mail address, phone number with country code, or username.",
        examples=["ada@example.com"],
    ),
]
EmailField = Annotated[str, Field(min_length=3, max_length=320, examples=["grace@example.com"])]
PasswordField = Annotated[str, Field(min_length=1, max_length=4096, examples=["Correct-Horse-42"])]


class UserRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str | None
    phone: str | None
    username: str | None
    status: UserStatus
    first_name: str | None
    last_name: str | None
    middle_name: str | None
    display_name: str | None
    picture_url: str | None
    language: str
    user_type: UserType
    email_verified_at: datetime | None
    phone_verified_at: datetime | None
    last_sign_in_at: datetime | None
    invited_by: UUID | None = Field(
        description="Who made the account, or invited its address before it was there."
    )
    user_metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class UserCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    identifier: IdentifierField
    password: PasswordField


Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]


class UserUpdate(BaseModel):
    """What is left out stays as it is. Status, verification and rights are not set here."""

    model_config = ConfigDict(extra="forbid")

    first_name: Name | None = Field(None, validation_alias=AliasChoices("first_name", "given_name"))
    middle_name: Name | None = None
    last_name: Name | None = Field(None, validation_alias=AliasChoices("last_name", "family_name"))
    display_name: Name | None = None
    language: Language = "en"
    user_metadata: Metadata = Field(
        default={}, validation_alias=AliasChoices("user_metadata", "preferences")
    )


class UserUpdateByAdmin(UserUpdate):
    user_type: UserType = UserType.CUSTOMER


class UsernameChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, Field(min_length=1, max_length=64, examples=["ada"])]


class PasswordReset(BaseModel):
    model_config = ConfigDict(extra="forbid")

    new_password: Annotated[
        str,
        Field(
            validation_alias=AliasChoices("new_password", "password"),
            min_length=1,
            max_length=4096,
        ),
    ]


class BulkAction(BaseModel):
    model_config = ConfigDict(extra="forbid")

    action: Literal["activate", "deactivate", "delete"]
    user_ids: list[UUID] = Field(min_length=1, max_length=100)


class BulkOutcome(BaseModel):
    """`code` is that of the problem which kept the action from this account."""

    user_id: UUID
    done: bool
    code: str | None = None


class BulkReport(BaseModel):
    affected: int
    failed: int
    results: list[BulkOutcome]


class PasswordChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    current_password: PasswordField
    new_password: PasswordField
