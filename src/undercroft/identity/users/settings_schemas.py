"""A person's own profile and preferences on the wire."""

from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from undercroft.foundation.phrases import Phrase
from undercroft.identity.users.models import UserStatus, UserType
from undercroft.identity.users.schemas import Language, Name, UserUpdate

TIMEZONE_UNKNOWN = Phrase("timezone_unknown", "Must be an IANA time zone such as Europe/Berlin.")
BIRTH_DATE_IMPOSSIBLE = Phrase("birth_date_impossible", "Must be a day from 1900 until today.")


class Theme(StrEnum):
    LIGHT = "light"
    DARK = "dark"
    DYNAMIC = "dynamic"


class Accessibility(StrEnum):
    PUBLIC = "public"
    PRIVATE = "private"


@cache
def _timezones() -> frozenset[str]:
    # What this machine happens to be set to is nobody's zone.
    return frozenset(available_timezones() - {"localtime"})


def _known_timezone(value: str) -> str:
    if value not in _timezones():
        raise TIMEZONE_UNKNOWN.refusal()
    return value


def _not_in_the_future(value: date) -> date:
    if value.year < 1900 or value > date.today():  # noqa: DTZ011 - a birthday has no time zone
        raise BIRTH_DATE_IMPOSSIBLE.refusal()
    return value


Timezone = Annotated[
    str, Field(max_length=64, examples=["Europe/Berlin"]), AfterValidator(_known_timezone)
]
Country = Annotated[
    str,
    BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    StringConstraints(pattern=r"^[A-Z]{2}$"),
    Field(description="ISO 3166, two letters.", examples=["DE"]),
]
BirthDate = Annotated[date, AfterValidator(_not_in_the_future)]


class ProfileUpdate(UserUpdate):
    country: Country | None = None
    gender: Literal["male", "female", "other"] | None = None
    birth_date: BirthDate | None = Field(None, validation_alias=AliasChoices("birth_date", "dob"))
    bio: Annotated[str, StringConstraints(max_length=2000)] | None = None
    timezone: Timezone = "UTC"
    theme: Theme = Theme.LIGHT
    profile_accessibility: Accessibility = Accessibility.PUBLIC


class ProfileRead(BaseModel):
    """All of one's own profile."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str | None
    phone: str | None
    username: str | None
    first_name: str | None
    middle_name: str | None
    last_name: str | None
    display_name: str | None
    country: str | None
    gender: str | None
    birth_date: date | None
    bio: str | None
    picture_url: str | None
    language: str
    timezone: str
    theme: Theme
    profile_accessibility: Accessibility
    user_type: UserType
    auth_type: str | None
    status: UserStatus
    email_verified_at: datetime | None
    phone_verified_at: datetime | None
    last_sign_in_at: datetime | None
    invited_by: UUID | None
    user_metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class PublicProfile(BaseModel):
    """What others see: nothing to reach or to recognise the person by elsewhere."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    username: str | None
    first_name: Name | None
    last_name: Name | None
    display_name: Name | None
    country: str | None
    bio: str | None
    picture_url: str | None
    created_at: datetime


class SettingsRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    theme: Theme
    language: str
    profile_accessibility: Accessibility
    timezone: str
    country: str | None
    bio: str | None
    status: UserStatus
    email_verified_at: datetime | None
    phone_verified_at: datetime | None


class AccessibilityChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    profile_accessibility: Accessibility = Accessibility.PUBLIC


class LanguageChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    language: Language = "en"


class ThemeChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    theme: Theme


class TimezoneChange(BaseModel):
    model_config = ConfigDict(extra="forbid")

    timezone: Timezone


class Export(BaseModel):
    """Everything the platform keeps about a person, by table; more where more is switched on."""

    model_config = ConfigDict(extra="allow")

    exported_at: datetime
    account: dict[str, Any]
    sessions: list[dict[str, Any]]
    groups: list[dict[str, Any]]
    organizations: list[dict[str, Any]]
    invitations: list[dict[str, Any]]
    api_keys: list[dict[str, Any]]
    features: list[dict[str, Any]]
    linked_accounts: list[dict[str, Any]]
    second_factors: list[dict[str, Any]]
    one_time_codes: list[dict[str, Any]]
    messages: list[dict[str, Any]]
