"""Accounts on the wire."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from undercroft.identity.users.models import UserStatus

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
    language: str
    email_verified_at: datetime | None
    phone_verified_at: datetime | None
    last_sign_in_at: datetime | None
    user_metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class UserCreate(BaseModel):
    model_config = ConfigDict(extra="forbid")

    identifier: IdentifierField
    password: PasswordField


class PasswordChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    current_password: PasswordField
    new_password: PasswordField
