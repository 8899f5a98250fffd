"""Keys that users give their programs."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.fixtures.actors import Caller, make_group, promoted, register, settled
from tests.fixtures.policies import PolicyCaller
from tests.fixtures.query_counter import QueryCounter
from undercroft.app import Application

API = "/api/v1"


@pytest.fixture
async def maker(client: httpx.AsyncClient, admin: Caller) -> Caller:
    """May make keys and read accounts."""
    maker = await register(client, "maker")
    await promoted(admin, maker, await make_group(admin, "api_keys:create", "users:read"))

    async def ready() -> bool:
        return (await maker.get(f"{API}/users")).status_code == 200

    assert await settled(ready)
    return maker


async def make_key(maker: Caller, *permissions: str, **fields: object) -> dict[str, str]:
    body = {"name": "import", "permissions": permissions, **fields}
    made = await maker.post(f"{API}/api-keys", json=body)
    assert made.status_code == 201, made.text
    return made.json()


async def short_lived(maker: Caller) -> tuple[datetime, str]:
    """A key that expires at a moment soon; on a machine that is busy not quite so soon."""
    for seconds in (1, 5, 25):
        soon = datetime.now(UTC) + timedelta(seconds=seconds)
        body = {"name": "short", "permissions": ["users:read"], "expires_at": soon.isoformat()}
        made = await maker.post(f"{API}/api-keys", json=body)
        if made.status_code == 201:
            break
    return soon, made.json()["key"]


async def status_with(client: httpx.AsyncClient, key: str, path: str = "/users") -> int:
    return (await client.get(API + path, headers={"apikey": key})).status_code


class TestUse:
    async def test_does_what_it_was_given_and_no_more(
        self, client: httpx.AsyncClient, maker: Caller
    ):
        key = (await make_key(maker, "users:read"))["key"]
        assert await status_with(client, key) == 200
        assert await status_with(client, key, "/groups") == 403
        assert await status_with(client, key, "/users/me") == 403
        bearer = await client.get(f"{API}/users", headers={"Authorization": f"Bearer {key}"})
        assert bearer.status_code == 200
        none = (await make_key(maker))["key"]
        assert await status_with(client, none) == 403

    async def test_is_shown_once_and_stored_as_a_hash(self, app: Application, maker: Caller):
        made = await make_key(maker, "users:read")
        listed = (await maker.get(f"{API}/api-keys")).json()["items"]
        assert listed[0]["id"] == made["id"]
        assert listed[0]["prefix"] == made["key"][:10]
        assert made["key"] not in str(listed)
        async with app.parts.database.unit_of_work() as session:
            connection = await session.connection()
            rows = await connection.exec_driver_sql("SELECT k::text FROM auth.api_keys k")
            assert not any(made["key"] in str(row[0]) for row in rows)

    async def test_use_is_noted(self, client: httpx.AsyncClient, maker: Caller):
        made = await make_key(maker, "users:read")
        assert made["last_used_at"] is None
        await status_with(client, made["key"])
        listed = (await maker.get(f"{API}/api-keys")).json()["items"]
        assert next(key for key in listed if key["id"] == made["id"])["last_used_at"]

    async def test_a_known_key_costs_no_query(
        self, client: httpx.AsyncClient, maker: Caller, query_counter: QueryCounter
    ):
        key = (await make_key(maker, "users:read"))["key"]
        await status_with(client, key)
        with query_counter() as count:
            await status_with(client, key)
        assert len(count) == 1

    @pytest.mark.parametrize("key", ["uck_", "uck_nonsense", "uck_" + "x" * 9000])
    async def test_unknown_keys_are_refused(self, client: httpx.AsyncClient, key: str):
        assert await status_with(client, key) == 401


class TestNeverMoreThanItsCreator:
    async def test_cannot_be_given_what_the_creator_lacks(self, maker: Caller):
        body = {"name": "x", "permissions": ["users:read", "users:delete"]}
        refused = await maker.post(f"{API}/api-keys", json=body)
        assert refused.status_code == 403
        assert refused.json()["lacking"] == "users:delete"

    async def test_loses_what_the_creator_loses(
        self, client: httpx.AsyncClient, admin: Caller, maker: Caller
    ):
        key = (await make_key(maker, "users:read"))["key"]
        assert await status_with(client, key) == 200
        await promoted(admin, maker)

        async def refused() -> bool:
            return await status_with(client, key) == 403

        assert await settled(refused)

    async def test_dies_with_the_creators_account(
        self, client: httpx.AsyncClient, admin: Caller, maker: Caller
    ):
        key = (await make_key(maker, "users:read"))["key"]
        assert await status_with(client, key) == 200
        await admin.post(f"{API}/users/{maker.id}/suspend")

        async def refused() -> bool:
            return await status_with(client, key) == 401

        assert await settled(refused)

    async def test_makes_no_keys_itself(self, client: httpx.AsyncClient, maker: Caller):
        key = (await make_key(maker, "api_keys:create"))["key"]
        body = {"name": "child", "permissions": []}
        answer = await client.post(f"{API}/api-keys", json=body, headers={"apikey": key})
        assert answer.status_code == 403


class TestEnd:
    async def test_revoked_stops_at_once(self, client: httpx.AsyncClient, maker: Caller):
        made = await make_key(maker, "users:read")
        assert await status_with(client, made["key"]) == 200
        assert (await maker.delete(f"{API}/api-keys/{made['id']}")).status_code == 204

        async def refused() -> bool:
            return await status_with(client, made["key"]) == 401

        assert await settled(refused)
        assert (await maker.delete(f"{API}/api-keys/{made['id']}")).status_code == 404

    async def test_expires(self, client: httpx.AsyncClient, maker: Caller):
        soon, key = await short_lived(maker)
        while (found := await status_with(client, key)) == 200:
            assert datetime.now(UTC) < soon + timedelta(seconds=30)
            await asyncio.sleep(0.02)
        assert (found, datetime.now(UTC) > soon) == (401, True)
        body = {"name": "late", "permissions": [], "expires_at": "2001-01-01T00:00:00Z"}
        assert (await maker.post(f"{API}/api-keys", json=body)).status_code == 422

    async def test_others_do_not_see_it(self, maker: Caller, outsider: Caller, admin: Caller):
        made = await make_key(maker, "users:read")
        assert (await outsider.get(f"{API}/api-keys")).json()["items"] == []
        assert (await outsider.delete(f"{API}/api-keys/{made['id']}")).status_code == 404
        assert (await admin.delete(f"{API}/api-keys/{made['id']}")).status_code == 204


class TestInPolicies:
    async def test_has_asks_for_the_key(self, as_caller: PolicyCaller, maker: Caller):
        made = await make_key(maker, "users:read")
        claims = {"role": "authenticated", "api_key": made["id"]}
        assert await as_caller(claims, "SELECT auth.has('users:read')")
        assert not await as_caller(claims, "SELECT auth.has('api_keys:create')")
        assert await as_caller(claims, "SELECT auth.uid() IS NULL")


class TestRows:
    async def test_opens_the_rows_api_under_its_own_claims(
        self, client: httpx.AsyncClient, maker: Caller
    ):
        key = (await make_key(maker, "users:read"))["key"]
        known = await client.get("/rest/v1/no_such_table", headers={"apikey": key})
        assert known.status_code == 404
        unknown = await client.get("/rest/v1/no_such_table", headers={"apikey": f"{key}x"})
        assert unknown.status_code == 401
