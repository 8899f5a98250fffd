"""What every list takes: `sort`, `search`, pages."""

import pytest

from tests.fixtures.actors import Caller, unique

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
        self, admin: Caller, member: Caller, path: str, names: tuple[str, ...]
    ):
        assert member.id
        await self._three(admin, path)
        for name in names:
            up = await self._ids(admin, f"{path}?sort={name}")
            down = await self._ids(admin, f"{path}?sort=-{name}")
            assert len(up) == len(set(up)) >= 3
            assert up == down[::-1]

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

    async def _ids(self, admin: Caller, path: str) -> list[str]:
        every = "&all=true" if path.startswith("/organizations") else ""
        ids: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = f"&limit=25&cursor={cursor}" if cursor else "&limit=25"
            answer = (await admin.get(f"{API}{path}{every}{page}")).json()
            ids += [each["id"] for each in answer["items"]]
            cursor = answer["next_cursor"]
        return ids
