"""Feature flags: whom they are on for, in SQL as over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.fixtures.actors import Caller, make_group, promoted, register, unique
from tests.fixtures.policies import PolicyCaller, claims_of
from tests.fixtures.query_counter import QueryCounter

API = "/api/v1"


class Flag:
    def __init__(self, admin: Caller, body: dict[str, Any]) -> None:
        self.admin = admin
        self.name = str(body["name"])
        self.path = f"{API}/features/{body['id']}"

    async def grant(self, **grants: object) -> None:
        answer = await self.admin.put(f"{self.path}/grants", json=grants)
        assert answer.status_code == 200, answer.text


@pytest.fixture
async def flag(admin: Caller) -> Flag:
    made = await admin.post(f"{API}/features", json={"name": unique("flag")})
    assert made.status_code == 201, made.text
    return Flag(admin, made.json())


async def is_on(caller: Caller, flag: Flag) -> bool:
    return flag.name in (await caller.get(f"{API}/features/me")).json()["items"]


class TestGrants:
    async def test_off_until_granted(self, flag: Flag, member: Caller):
        assert not await is_on(member, flag)

    async def test_to_a_user(self, flag: Flag, member: Caller, outsider: Caller):
        await flag.grant(users=[member.id])
        assert await is_on(member, flag)
        assert not await is_on(outsider, flag)
        await flag.grant()
        assert not await is_on(member, flag)

    async def test_to_a_group(self, flag: Flag, admin: Caller, member: Caller):
        group = await make_group(admin)
        await flag.grant(groups=[group])
        assert not await is_on(member, flag)
        await promoted(admin, member, group)
        assert await is_on(member, flag)

    async def test_to_an_organization(
        self, flag: Flag, admin: Caller, member: Caller, outsider: Caller
    ):
        made = await member.post(f"{API}/organizations", json={"name": "Flagged"})
        path = f"{API}/organizations/{made.json()['id']}"
        put = await admin.put(f"{path}/features", json={"features": [flag.name]})
        assert put.json()["items"] == [flag.name]
        assert await is_on(member, flag)
        assert not await is_on(outsider, flag)
        assert (await member.get(f"{path}/features")).json()["items"] == [flag.name]
        assert (await outsider.get(f"{path}/features")).status_code == 404
        refused = await member.put(f"{path}/features", json={"features": []})
        assert refused.status_code == 403
        await admin.patch(path, json={"is_active": False})
        assert not await is_on(member, flag)

    async def test_to_a_stable_share(
        self, flag: Flag, client: httpx.AsyncClient, as_caller: PolicyCaller
    ):
        people = [str(uuid4()) for _ in range(400)]

        async def share() -> set[str]:
            sql = "SELECT auth.feature($1)"
            return {
                one
                for one in people
                if await as_caller({"sub": one, "role": "authenticated"}, sql, flag.name)
            }

        await flag.grant(percentage=20)
        fifth = await share()
        assert 40 <= len(fifth) <= 125
        assert fifth == await share()
        await flag.grant(percentage=50)
        assert fifth < await share()
        await flag.grant(percentage=100)
        assert len(await share()) == 400
        assert flag.name in (await client.get(f"{API}/features/me")).json()["items"]

    async def test_on_schedule(self, flag: Flag, member: Caller):
        now, hour = datetime.now(UTC), timedelta(hours=1)
        for start, end, expected in (
            (now - hour, now + hour, True),
            (now + hour, None, False),
            (None, now - hour, False),
            (now - hour, None, True),
        ):
            schedule = {
                "starts_at": start.isoformat() if start else None,
                "ends_at": end.isoformat() if end else None,
            }
            await flag.grant(users=[member.id], **schedule)
            assert await is_on(member, flag) is expected

    async def test_switched_off_beats_every_grant(self, flag: Flag, admin: Caller, member: Caller):
        await flag.grant(percentage=100, users=[member.id])
        await admin.patch(flag.path, json={"is_active": False})
        assert not await is_on(member, flag)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"percentage": 101},
            {"users": [str(uuid4())]},
            {"organizations": [str(uuid4())]},
            {"groups": ["nobody_is_here"]},
            {"starts_at": "2030-01-02T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"},
            {"starts_at": "2030-01-02T00:00:00"},
        ],
    )
    async def test_refuses_what_cannot_be(self, flag: Flag, wrong: dict[str, object]):
        answer = await flag.admin.put(f"{flag.path}/grants", json=wrong)
        assert answer.status_code == 422, answer.text


class TestCatalogue:
    async def test_lives_and_dies(self, flag: Flag, admin: Caller, member: Caller):
        again = await admin.post(f"{API}/features", json={"name": flag.name})
        assert again.status_code == 409
        read = (await admin.get(flag.path)).json()
        assert (read["organizations"], read["groups"], read["users"]) == ([], [], [])
        listed = await admin.get(f"{API}/features?search={flag.name}&count=exact")
        assert listed.json()["total"] == 1
        assert (await member.get(flag.path)).status_code == 403
        assert (await admin.delete(flag.path)).status_code == 204
        assert (await admin.get(flag.path)).status_code == 404


class TestMe:
    async def test_is_one_query(
        self, flag: Flag, client: httpx.AsyncClient, query_counter: QueryCounter
    ):
        member = await register(client)
        await is_on(member, flag)
        with query_counter() as count:
            await is_on(member, flag)
        assert len(count) == 1


class TestInPolicies:
    async def test_sql_agrees_with_http(
        self, flag: Flag, as_caller: PolicyCaller, member: Caller, outsider: Caller
    ):
        await flag.grant(users=[member.id])
        for caller in (member, outsider):
            in_sql = await as_caller(claims_of(caller), "SELECT auth.feature($1)", flag.name)
            assert in_sql is await is_on(caller, flag)
        assert await as_caller({"role": "anon"}, "SELECT auth.feature('no.such')") is False
