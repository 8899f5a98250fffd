"""The ten statistics."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

Period = Literal["daily", "weekly", "monthly"]


class NewUsers(BaseModel):
    today: int = Field(description="Since midnight in the time zone.")
    this_week: int = Field(description="In the last seven times 24 hours.")
    this_month: int = Field(description="Since the first of the month in the time zone.")


class Overview(BaseModel):
    total_users: int = Field(description="All but the deleted.")
    active_users: int
    verified_users: int = Field(description="By e-mail, by phone or by both.")
    email_verified: int
    phone_verified: int
    new_users: NewUsers
    users_with_sign_in: int


class OverviewRead(BaseModel):
    overview: Overview


class StatusCount(BaseModel):
    status: str
    count: int


class TypeCount(BaseModel):
    user_type: str
    count: int


class AuthTypeCount(BaseModel):
    auth_type: str
    count: int


class CountryCount(BaseModel):
    country: str = Field(description="ISO 3166, or unknown.")
    count: int


class LanguageCount(BaseModel):
    language: str
    count: int


class UsersByStatus(BaseModel):
    users_by_status: list[StatusCount]


class UsersByType(BaseModel):
    users_by_type: list[TypeCount]


class UsersByAuthType(BaseModel):
    users_by_auth_type: list[AuthTypeCount]


class UsersByCountry(BaseModel):
    users_by_country: list[CountryCount] = Field(description="The twenty most frequent.")


class UsersByLanguage(BaseModel):
    users_by_language: list[LanguageCount]


class GrowthCount(BaseModel):
    period: str = Field(description="A day, the Monday of a week, or a month.")
    count: int


class UserGrowth(BaseModel):
    period: Period
    timezone: str
    growth: list[GrowthCount] = Field(description="Oldest first, days without any included.")


class GroupCount(BaseModel):
    group: str
    count: int


class Roles(BaseModel):
    superusers: int
    admins: int
    business: int
    developers: int
    accountants: int
    regular_users: int
    groups: list[GroupCount] = Field(description="Every group, the largest first.")


class RoleStatistics(BaseModel):
    role_statistics: Roles


class RecentSignIns(BaseModel):
    """`last_{hours}_hours` carries the number that was asked for."""

    recent_sign_ins: dict[str, int]


class AllStatistics(BaseModel):
    generated_at: datetime
    overview: Overview
    by_status: list[StatusCount]
    by_type: list[TypeCount]
    by_auth_type: list[AuthTypeCount]
    roles: Roles
