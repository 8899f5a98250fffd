"""What every list takes: `sort`, `search`, pages."""

import pytest

from tests.fixtures.actors import Caller, register, sign_in, unique
from tests.fixtures.lists import check_orders, ids_of

API = "/api/v1"


class TestOrder:
    """`sort` names a column, after `-` from the highest, and holds across pages."""

    LISTS = (
        ("/users", ("created_at", "updated_at", "email", "username", "last_sign_in_at")),
        ("/organizations", ("created_at", "name", "slug")),
        ("/permissions", ("codename", "name", "created_at")),
        ("/groups", ("codename", "name", "created_at")),
        ("/features", ("name", "created_at")),
        ("/api-keys", ("created_at", "name")),
    )

    @pytest.mark.parametrize(("path", "names"), LISTS)
    async def test_is_the_same_forwards_and_backwards(
        self, admin: Caller, path: str, names: tuple[str, ...]
    ):
        await self._three(admin, path)
        params = {"all": True} if path == "/organizations" else {}
        await check_orders(admin, API + path, names, **params)

    async def test_of_sessions(self, member: Caller):
        for _ in range(2):
            await sign_in(member.client, member.identifier)
        names = ("last_used_at", "created_at", "expires_at")
        await check_orders(member, f"{API}/sessions", names)

    async def test_of_members_and_invitations(self, admin: Caller, member: Caller):
        made = await member.post(f"{API}/organizations", json={"name": "Engines"})
        path = f"{API}/organizations/{made.json()['id']}"
        for _ in range(3):
            person = await register(member.client)
            added = await admin.post(f"{path}/members", json={"user_id": person.id})
            assert added.status_code == 201, added.text
            body = {"email": f"{unique('guest')}@example.com"}
            assert (await member.post(f"{path}/invitations", json=body)).status_code == 201
        await check_orders(member, f"{path}/members", ("joined_at",), key="user_id")
        names = ("created_at", "expires_at", "email")
        await check_orders(member, f"{path}/invitations", names)

    async def test_refuses_other_columns_and_cursors_of_another_order(self, admin: Caller):
        for name in ("password_hash", "email,id", "--email", "-"):
            answer = await admin.get(f"{API}/users", params={"sort": name})
            assert answer.status_code == 422
        cursor = (await admin.get(f"{API}/users?sort=email&limit=1")).json()["next_cursor"]
        mixed = await admin.get(f"{API}/users?sort=username&cursor={cursor}")
        assert (mixed.status_code, mixed.json()["code"]) == (422, "cursor_invalid")

    async def _three(self, admin: Caller, path: str) -> None:
        for _ in range(3):
            name = unique("thing")
            body = {
                "/organizations": {"name": name},
                "/features": {"name": name},
                "/api-keys": {"name": name, "permissions": []},
                "/users": {"identifier": name, "password": "Correct-Horse-42"},
            }.get(path)
            if body:
                assert (await admin.post(f"{API}{path}", json=body)).status_code == 201


class TestSearch:
    async def test_finds_api_keys_by_name_or_start(self, admin: Caller):
        path = f"{API}/api-keys"
        made = [
            (await admin.post(path, json={"name": unique(word), "permissions": []})).json()
            for word in ("Nightly 100%", "Weekly")
        ]
        name = made[0]["name"]
        assert await ids_of(admin, path, search=name.upper()) == [made[0]["id"]]
        assert await ids_of(admin, path, search=made[1]["prefix"]) == [made[1]["id"]]
        assert await ids_of(admin, path, search=name.replace("100%", "1_0%")) == []
        assert await ids_of(admin, path, search=made[0]["key"]) == []

    async def test_finds_invitations_by_address(self, member: Caller):
        made = await member.post(f"{API}/organizations", json={"name": "Engines"})
        path = f"{API}/organizations/{made.json()['id']}/invitations"
        for name in ("ada", "grace"):
            sent = await member.post(path, json={"email": f"{name}@example.com"})
            assert sent.status_code == 201, sent.text
        assert len(await ids_of(member, path)) == 2
        assert len(await ids_of(member, path, search="ADA@")) == 1
