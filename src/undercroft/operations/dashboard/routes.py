"""`/dashboard`: statistics for who runs the place."""

from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Query, Request

from undercroft.foundation.access import Needs, Permission
from undercroft.foundation.clock import utc_now
from undercroft.foundation.http import Router, Session
from undercroft.identity.users.settings_schemas import Timezone
from undercroft.operations.dashboard import schemas
from undercroft.operations.dashboard.statistics import Calendar, Statistics

READ = Needs("dashboard:read")
PERMISSIONS = (Permission("dashboard:read", "See the statistics."),)

router = Router("/dashboard", tag="operations")


async def _statistics(request: Request) -> Statistics:
    statistics: Statistics = request.app.state.statistics
    return statistics


async def _calendar(
    timezone: Annotated[
        Timezone, Query(description="IANA name; where days and months begin.")
    ] = "UTC",
) -> Calendar:
    return Calendar(ZoneInfo(timezone), utc_now())


Kept = Annotated[Statistics, Depends(_statistics)]
Local = Annotated[Calendar, Depends(_calendar)]


@router.get("/overview", access=READ)
async def get_dashboard_overview(
    session: Session, kept: Kept, calendar: Local
) -> schemas.OverviewRead:
    """Accounts in all, active, verified, new, and with a sign-in."""
    return schemas.OverviewRead(overview=await kept.overview(session, calendar))


@router.get("/users-by-status", access=READ)
async def count_users_by_status(session: Session, kept: Kept) -> schemas.UsersByStatus:
    """Accounts by status, the deleted ones too; every status, the most frequent first."""
    return await kept.by(session, "status", schemas.UsersByStatus)


@router.get("/users-by-type", access=READ)
async def count_users_by_type(session: Session, kept: Kept) -> schemas.UsersByType:
    """Accounts by type; every type, the most frequent first."""
    return await kept.by(session, "user_type", schemas.UsersByType)


@router.get("/users-by-auth-type", access=READ)
async def count_users_by_auth_type(session: Session, kept: Kept) -> schemas.UsersByAuthType:
    """Accounts by what they signed up with."""
    return await kept.by(session, "auth_type", schemas.UsersByAuthType)


@router.get("/users-by-country", access=READ)
async def count_users_by_country(session: Session, kept: Kept) -> schemas.UsersByCountry:
    """Accounts by country, the twenty most frequent."""
    return await kept.by(session, "country", schemas.UsersByCountry)


@router.get("/users-by-language", access=READ)
async def count_users_by_language(session: Session, kept: Kept) -> schemas.UsersByLanguage:
    """Accounts by the language of their messages."""
    return await kept.by(session, "language", schemas.UsersByLanguage)


@router.get("/user-growth", access=READ)
async def get_user_growth(
    session: Session,
    kept: Kept,
    calendar: Local,
    period: schemas.Period = "daily",
    days: Annotated[int, Query(ge=1, le=365, description="Of `daily`; weeks and months: 12.")] = 30,
) -> schemas.UserGrowth:
    """New accounts per day, week or month, oldest first; those without any are 0."""
    return await kept.growth(session, calendar, period, days)


@router.get("/role-statistics", access=READ)
async def get_role_statistics(session: Session, kept: Kept) -> schemas.RoleStatistics:
    """Accounts in each group."""
    return schemas.RoleStatistics(role_statistics=await kept.roles(session))


@router.get("/recent-sign-ins", access=READ)
async def get_recent_sign_ins(
    session: Session,
    kept: Kept,
    calendar: Local,
    hours: Annotated[int, Query(ge=1, le=168)] = 24,
) -> schemas.RecentSignIns:
    """Accounts by when they last signed in; at most five seconds old."""
    return await kept.recent_sign_ins(session, calendar, hours)


@router.get("/all-statistics", access=READ)
async def get_all_statistics(
    session: Session, kept: Kept, calendar: Local
) -> schemas.AllStatistics:
    """Overview, status, type, sign-up and roles in one answer."""
    return await kept.everything(session, calendar)
