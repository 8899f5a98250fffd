"""The ten statistics: what they count, in whose days, and that none is older than a write."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import text

from tests.fixtures.actors import Caller, make_group, promoted, register, sign_in
from tests.fixtures.query_counter import QueryCounter
from undercroft.app import Application
from undercroft.operations.dashboard.statistics import Calendar

API = "/api/v1"
BOARD = f"{API}/dashboard"
PATHS = (
    "overview",
    "users-by-status",
    "users-by-type",
    "users-by-auth-type",
    "users-by-country",
    "users-by-language",
    "user-growth",
    "role-statistics",
    "recent-sign-ins",
    "all-statistics",
)


async def board(caller: Caller, path: str, **params: Any) -> dict[str, Any]:
    response = await caller.get(f"{BOARD}/{path}", params=params)
    assert response.status_code == 200, response.text
    return dict(response.json())


def count(lines: list[dict[str, Any]], name: str, value: str) -> int:
    return next((line["count"] for line in lines if line[name] == value), 0)


@pytest.mark.parametrize("path", PATHS)
async def test_needs_the_permission(path: str, client: httpx.AsyncClient, member: Caller):
    assert (await client.get(f"{BOARD}/{path}")).status_code == 401
    assert (await member.get(f"{BOARD}/{path}")).status_code == 403


async def test_one_permission_opens_all(admin: Caller, member: Caller):
    await promoted(admin, member, await make_group(admin, "dashboard:read"))
    again = await sign_in(member.client, member.identifier)
    for path in PATHS:
        await board(again, path)


class TestOverview:
    async def test_is_never_older_than_a_write(self, admin: Caller, client: httpx.AsyncClient):
        before = (await board(admin, "overview"))["overview"]
        person = await register(client, "counted")
        after = (await board(admin, "overview"))["overview"]
        assert after["total_users"] == before["total_users"] + 1
        assert after["users_with_sign_in"] == before["users_with_sign_in"] + 1
        assert {k: after["new_users"][k] - v for k, v in before["new_users"].items()} == {
            "today": 1,
            "this_week": 1,
            "this_month": 1,
        }
        await admin.delete(f"{API}/users/{person.id}")
        assert (await board(admin, "overview"))["overview"]["total_users"] == before["total_users"]

    async def test_comes_from_the_cache_in_between(
        self, admin: Caller, query_counter: QueryCounter
    ):
        await board(admin, "overview")
        with query_counter() as queries:
            await board(admin, "overview")
        assert not [query for query in queries.statements if "auth.users" in query]


class TestBuckets:
    async def test_every_status_and_type_is_told(self, admin: Caller):
        lines = (await board(admin, "users-by-status"))["users_by_status"]
        assert {line["status"] for line in lines} == {
            "active",
            "unverified",
            "suspended",
            "deactivated",
            "deleted",
        }
        assert lines == sorted(lines, key=lambda line: -line["count"])
        kinds = (await board(admin, "users-by-type"))["users_by_type"]
        assert {line["user_type"] for line in kinds} == {"admin", "customer", "business"}

    async def test_move_with_what_happens_to_an_account(self, admin: Caller, member: Caller):
        before = (await board(admin, "users-by-status"))["users_by_status"]
        await admin.post(f"{API}/users/{member.id}/deactivate")
        after = (await board(admin, "users-by-status"))["users_by_status"]
        moved = count(after, "status", "deactivated") - count(before, "status", "deactivated")
        assert moved == 1

    async def test_country_language_and_sign_up(self, admin: Caller, member: Caller):
        changed = await member.put(f"{API}/settings/profile", json={"country": "AQ"})
        assert changed.status_code == 200, changed.text
        await member.post(f"{API}/settings/profile-language", json={"language": "it"})
        countries = (await board(admin, "users-by-country"))["users_by_country"]
        assert len(countries) <= 20
        assert countries[0]["country"] == "unknown"
        assert count(countries, "country", "AQ") >= 1
        languages = (await board(admin, "users-by-language"))["users_by_language"]
        assert count(languages, "language", "it") >= 1
        types = (await board(admin, "users-by-auth-type"))["users_by_auth_type"]
        assert count(types, "auth_type", "email") >= 2


class TestRoles:
    async def test_are_counted_for_real(self, admin: Caller, member: Caller):
        before = (await board(admin, "role-statistics"))["role_statistics"]
        assert before["superusers"] >= 1
        await promoted(admin, member, "admin", "vendor")
        after = (await board(admin, "role-statistics"))["role_statistics"]
        assert after["admins"] == before["admins"] + 1
        assert after["regular_users"] == before["regular_users"]
        vendors = [count(one["groups"], "group", "vendor") for one in (before, after)]
        assert vendors[1] == vendors[0] + 1

    async def test_deleted_accounts_are_in_no_group(self, admin: Caller, member: Caller):
        before = (await board(admin, "role-statistics"))["role_statistics"]
        await admin.delete(f"{API}/users/{member.id}")
        after = (await board(admin, "role-statistics"))["role_statistics"]
        assert after["regular_users"] == before["regular_users"] - 1


class TestGrowth:
    @pytest.mark.parametrize(
        ("params", "buckets"),
        [
            ({}, 30),
            ({"days": 1}, 1),
            ({"days": 365}, 365),
            ({"period": "weekly", "days": 3}, 12),
            ({"period": "monthly"}, 12),
        ],
    )
    async def test_has_no_holes(
        self, admin: Caller, member: Caller, params: dict[str, Any], buckets: int
    ):
        del member
        body = await board(admin, "user-growth", **params)
        assert len(body["growth"]) == buckets
        assert body["growth"][-1]["count"] >= 1
        labels = [line["period"] for line in body["growth"]]
        assert labels == sorted(set(labels))

    async def test_an_account_counts_on_the_day_that_it_was_made_there(
        self, app: Application, admin: Caller, member: Caller
    ):
        """Hours that are no whole ones, and clocks that change by half of one."""
        for ago, zone in ((250, "Asia/Kathmandu"), (240, "Australia/Lord_Howe")):
            calendar = Calendar(ZoneInfo(zone), datetime.now(UTC))
            day = calendar.today - timedelta(days=ago)
            for made_on, second in ((day, 0), (day - timedelta(days=1), -1)):
                async with app.parts.database.unit_of_work() as session:
                    move = text("UPDATE auth.users SET created_at = :at WHERE id = :id")
                    at = calendar.start_of(day) + timedelta(seconds=second)
                    await session.execute(move, {"at": at, "id": UUID(member.id)})
                # Each time another question: what is kept does not notice our UPDATE.
                asked = {"timezone": zone, "days": 300 + second}
                growth = (await board(admin, "user-growth", **asked))["growth"]
                assert count(growth, "period", made_on.isoformat()) == 1

    async def test_days_are_those_of_the_time_zone(self, admin: Caller):
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu", "Factory"):
            body = await board(admin, "user-growth", timezone=zone, days=2)
            assert body["timezone"] == zone
            today = datetime.now(UTC).astimezone(ZoneInfo(zone)).date()
            # The test may run over midnight.
            assert abs(date.fromisoformat(body["growth"][-1]["period"]) - today).days <= 1
            assert sum(line["count"] for line in body["growth"]) >= 1


class TestSignIns:
    async def test_are_counted_by_their_last(self, admin: Caller, member: Caller):
        body = (await board(admin, "recent-sign-ins", hours=6))["recent_sign_ins"]
        assert set(body) == {"total_with_sign_in", "last_hour", "last_6_hours", "today"}
        assert body["total_with_sign_in"] >= body["last_6_hours"] >= body["last_hour"] >= 2
        await register(member.client, "late")
        again = (await board(admin, "recent-sign-ins", hours=6))["recent_sign_ins"]
        assert again["last_hour"] == body["last_hour"] + 1


class TestEverything:
    async def test_is_the_same_in_one_answer(self, admin: Caller):
        body = await board(admin, "all-statistics")
        assert body["overview"] == (await board(admin, "overview"))["overview"]
        assert body["roles"] == (await board(admin, "role-statistics"))["role_statistics"]
        assert set(body) == {
            "generated_at",
            "overview",
            "by_status",
            "by_type",
            "by_auth_type",
            "roles",
        }


class TestAbsurdQuestions:
    @pytest.mark.parametrize(
        ("path", "params"),
        [
            ("user-growth", {"days": 0}),
            ("user-growth", {"days": 366}),
            ("user-growth", {"days": 10**20}),
            ("user-growth", {"period": "hourly"}),
            ("user-growth", {"timezone": "Mars/Olympus"}),
            ("user-growth", {"timezone": "localtime"}),
            ("overview", {"timezone": "../../etc/passwd"}),
            ("overview", {"timezone": ""}),
            ("recent-sign-ins", {"hours": 0}),
            ("recent-sign-ins", {"hours": 169}),
            ("recent-sign-ins", {"hours": "x"}),
        ],
    )
    async def test_are_refused(self, admin: Caller, path: str, params: dict[str, Any]):
        assert (await admin.get(f"{BOARD}/{path}", params=params)).status_code == 422


class TestCalendar:
    def test_days_follow_the_clocks_of_the_place(self):
        berlin = Calendar(ZoneInfo("Europe/Berlin"), datetime(2026, 3, 29, 22, 30, tzinfo=UTC))
        assert berlin.today == date(2026, 3, 30)
        midnight = berlin.start_of(date(2026, 3, 29)).astimezone(UTC)
        assert midnight == datetime(2026, 3, 28, 23, tzinfo=UTC)

    def test_a_midnight_that_the_clocks_skip_is_the_moment_of_the_change(self):
        cairo = Calendar(ZoneInfo("Africa/Cairo"), datetime(2026, 5, 1, tzinfo=UTC))
        began = cairo.start_of(date(2026, 4, 24)).astimezone(UTC)
        assert began == datetime(2026, 4, 23, 22, tzinfo=UTC)

    def test_months_count_back_over_the_year(self):
        calendar = Calendar(ZoneInfo("UTC"), datetime(2026, 2, 28, tzinfo=UTC))
        months = calendar.buckets("monthly", 1)
        assert (months[0], months[-1]) == (date(2025, 3, 1), date(2026, 2, 1))

    def test_weeks_begin_on_monday(self):
        calendar = Calendar(ZoneInfo("UTC"), datetime(2026, 11, 22, tzinfo=UTC))
        assert {day.weekday() for day in calendar.buckets("weekly", 1)} == {0}
