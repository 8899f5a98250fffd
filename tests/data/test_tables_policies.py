"""Policies over HTTP: written out, by template, changed."""

from typing import Any

import httpx
import pytest

from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller, make_group, promoted, settled, unique
from tests.identity.test_organizations import make_tenant
from undercroft.app import Application

ROWS = "/rest/v1"


async def notes(admin: Caller, column: str = "user_id", kind: str = "uuid") -> str:
    return await create(
        admin, {"name": "id", "type": "int", "primary_key": True}, {"name": column, "type": kind}
    )


async def apply(admin: Caller, table: str, **template: Any) -> dict[str, Any]:
    options = {key: template.pop(key) for key in ("command", "create_index") if key in template}
    body = {"name": unique("p"), "template": template, **options}
    response = await admin.post(f"{TABLES}/{table}/policies", json=body)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def seen(caller: Caller, table: str) -> list[int]:
    response = await caller.get(f"{ROWS}/{table}?select=id&order=id")
    return [row["id"] for row in response.json()] if response.status_code == 200 else []


class TestTemplates:
    @pytest.mark.parametrize("kind", ["uuid", "text", "varchar(36)"])
    async def test_owner_shows_everyone_their_own(
        self, admin: Caller, service: Caller, member: Caller, outsider: Caller, kind: str
    ):
        table = await notes(admin, kind=kind)
        made = await apply(admin, table, kind="owner", column="user_id")
        assert made["needs_index"]["exists"] is False
        rows = [{"id": 1, "user_id": member.id}, {"id": 2, "user_id": outsider.id}]
        assert (await service.post(f"{ROWS}/{table}", json=rows)).status_code == 201
        assert (await seen(member, table), await seen(outsider, table)) == ([1], [2])
        theirs = await member.post(f"{ROWS}/{table}", json={"id": 3, "user_id": outsider.id})
        assert theirs.status_code == 403

    async def test_makes_the_index_when_asked(self, admin: Caller):
        table = await notes(admin)
        made = await apply(admin, table, kind="owner", column="user_id", create_index=True)
        assert made["needs_index"]["exists"] is True
        found = (await admin.get(f"{TABLES}/{table}/indexes")).json()["items"]
        assert ["user_id"] in [row["columns"] for row in found]
        again = await apply(admin, table, kind="owner", command="insert", create_index=True)
        assert again["needs_index"]["exists"] is True
        assert len((await admin.get(f"{TABLES}/{table}/indexes")).json()["items"]) == 2

    async def test_organization_members_see_what_is_theirs(
        self, app: Application, admin: Caller, service: Caller, client: httpx.AsyncClient
    ):
        tenant = await make_tenant(app, client)
        other = await make_tenant(app, client)
        every, leaders = [await notes(admin, "organization_id") for _ in range(2)]
        await apply(admin, every, kind="organization_member")
        await apply(admin, leaders, kind="organization_member", roles=["owner", "admin"])
        for table in (every, leaders):
            rows = [
                {"id": 1, "organization_id": tenant.id},
                {"id": 2, "organization_id": other.id},
            ]
            assert (await service.post(f"{ROWS}/{table}", json=rows)).status_code == 201
        assert await seen(tenant.member, every) == [1]
        assert await seen(tenant.member, leaders) == []
        assert await seen(tenant.owner, leaders) == [1]
        assert await seen(other.owner, every) == [2]

    async def test_public_read_is_for_everyone_and_only_to_read(
        self, admin: Caller, service: Caller, client: httpx.AsyncClient, api_keys: dict[str, str]
    ):
        table = await notes(admin)
        made = await apply(admin, table, kind="public_read")
        assert (made["command"], made["roles"]) == ("select", ["anon", "authenticated"])
        await service.post(f"{ROWS}/{table}", json={"id": 1})
        anon = {"apikey": api_keys["anon"]}
        assert (await client.get(f"{ROWS}/{table}", headers=anon)).status_code == 200
        written = await client.post(f"{ROWS}/{table}", json={"id": 2}, headers=anon)
        assert written.status_code == 401
        body = {"name": "p", "command": "all", "template": {"kind": "public_read"}}
        assert (await admin.post(f"{TABLES}/{table}/policies", json=body)).status_code == 422

    async def test_permission_and_feature_follow_the_caller(
        self, admin: Caller, service: Caller, member: Caller
    ):
        by_right, by_flag = await notes(admin), await notes(admin)
        flag = unique("flag")
        await apply(admin, by_right, kind="permission", permission="tables:read")
        await apply(admin, by_flag, kind="feature", feature=flag)
        for table in (by_right, by_flag):
            await service.post(f"{ROWS}/{table}", json={"id": 1})
        assert (await seen(member, by_right), await seen(member, by_flag)) == ([], [])
        await promoted(admin, member, await make_group(admin, "tables:read"))
        made = await admin.post("/api/v1/features", json={"name": flag})
        assert made.status_code == 201, made.text
        path = f"/api/v1/features/{made.json()['id']}/grants"
        granted = await admin.put(path, json={"percentage": 100})
        assert granted.status_code == 200, granted.text

        async def both() -> bool:
            return await seen(member, by_right) == [1] == await seen(member, by_flag)

        assert await settled(both)

    @pytest.mark.parametrize(
        ("wanted", "code"),
        [
            ({"kind": "owner", "column": "nowhere"}, "column_not_found"),
            ({"kind": "owner", "column": "id"}, "template_unfit"),
            ({"kind": "owner", "column": "x' or true; --"}, "column_not_found"),
            ({"kind": "organization_member", "roles": ["king"]}, "invalid"),
            ({"kind": "nonsense"}, "invalid"),
        ],
    )
    async def test_refuses_what_does_not_fit(
        self, admin: Caller, wanted: dict[str, Any], code: str
    ):
        table = await notes(admin)
        body = {"name": "p", "template": wanted}
        response = await admin.post(f"{TABLES}/{table}/policies", json=body)
        assert response.json()["code"] == code, response.text
        both = body | {"template": {"kind": "owner"}, "using": "true"}
        response = await admin.post(f"{TABLES}/{table}/policies", json=both)
        assert response.status_code == 422

    async def test_words_in_templates_stay_words(self, admin: Caller):
        table = await notes(admin)
        hostile = "x')) or true; drop table auth.users; --\\\\'"
        made = await apply(admin, table, kind="permission", permission=hostile)
        assert made["using"].startswith("( SELECT auth.has(")


class TestChange:
    async def test_renames_and_rewrites(self, admin: Caller, member: Caller, service: Caller):
        table = await notes(admin)
        await service.post(f"{ROWS}/{table}", json={"id": 1})
        path = f"{TABLES}/{table}/policies"
        await admin.post(path, json={"name": "p", "command": "select", "using": "false"})
        assert await seen(member, table) == []
        body = {"name": "q", "using": "true", "roles": ["public"]}
        changed = await admin.patch(f"{path}/p", json=body)
        assert changed.status_code == 200, changed.text
        assert (changed.json()["name"], changed.json()["using"]) == ("q", "true")
        assert changed.json()["roles"] == ["public"]
        assert await seen(member, table) == [1]
        assert (await admin.patch(f"{path}/p", json=body)).status_code == 404

    async def test_refuses_anything_but_one_expression(self, admin: Caller):
        table = await notes(admin)
        path = f"{TABLES}/{table}/policies"
        await admin.post(path, json={"name": "p", "using": "false"})
        await admin.post(path, json={"name": "q", "using": "false"})
        for using in ("true); drop table x; --", "true) with check (true", "nowhere = 1", ""):
            response = await admin.patch(f"{path}/p", json={"using": using})
            assert response.status_code == 422, using
        assert (await admin.patch(f"{path}/p", json={"name": "q"})).status_code == 409


async def test_policies_of_our_own_tables_are_changed_by_superusers_alone(
    admin: Caller, member: Caller
):
    """Postgres evaluates literals while it reads a policy, on those tables as the platform."""
    await promoted(admin, member, "admin")
    for place in ("objects/policies?schema=storage", "messages/policies?schema=realtime"):
        new = {"name": unique("ours"), "command": "select", "using": "true"}
        refused = await member.post(f"/api/v1/tables/{place}", json=new)
        assert refused.status_code == 403
        assert refused.json()["code"] == "policies_of_platform"
        assert (await admin.post(f"/api/v1/tables/{place}", json=new)).status_code == 201
        path, _, query = place.partition("?")
        gone = f"/api/v1/tables/{path}/{new['name']}?{query}"
        assert (await member.delete(gone)).status_code == 403
        assert (await admin.delete(gone)).status_code == 204
