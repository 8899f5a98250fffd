"""Policies over HTTP: written out, by template, changed."""

from typing import Any

import httpx
import pytest

from tests.data.sql_support import run
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


class TestPoliciesThatReadTheirOwnTable:
    """Postgres takes them, and refuses every statement on the table from then on."""

    async def test_are_refused_before_anybody_meets_them(
        self, admin: Caller, member: Caller, service: Caller
    ):
        teams, members = await notes(admin), await notes(admin)
        mine = f"exists (select from {members} m where m.user_id = (select auth.uid()))"
        path = f"{TABLES}/{members}/policies"
        refused = await admin.post(path, json={"name": "mine", "command": "select", "using": mine})
        assert (refused.status_code, refused.json()["code"]) == (422, "policy_reads_itself")
        assert "SECURITY DEFINER" in refused.json()["detail"]
        # Over another table, whichever of the two comes second.
        first = {"name": "mine", "using": mine}
        assert (await admin.post(f"{TABLES}/{teams}/policies", json=first)).status_code == 201
        await apply(admin, members, kind="owner")
        back = {"using": f"id in (select t.id from {teams} t)"}
        other = await admin.post(path, json={"name": "back", "roles": ["anon"]} | back)
        assert other.status_code == 201, other.text  # nothing of theirs leads back
        assert (await admin.delete(f"{path}/back")).status_code == 204
        refused = await admin.post(path, json={"name": "back"} | back)
        assert refused.json()["code"] == "policy_reads_itself", refused.text
        policy = (await admin.get(path)).json()["items"][0]["name"]
        refused = await admin.patch(f"{path}/{policy}", json=back)
        assert refused.json()["code"] == "policy_reads_itself", refused.text
        await service.post(f"{ROWS}/{teams}", json={"id": 1})
        await service.post(f"{ROWS}/{members}", json={"id": 1, "user_id": member.id})
        assert (await seen(member, teams), await seen(member, members)) == ([1], [1])

    async def test_read_it_in_a_function_instead(
        self, admin: Caller, member: Caller, service: Caller
    ):
        table = await notes(admin)
        await run(
            admin,
            f"create function {table}_mine() returns setof int language sql stable"
            f" security definer set search_path = '' as 'select id from public.{table}"
            f" where user_id = (select auth.uid())';"
            f" grant execute on function {table}_mine() to authenticated",
        )
        new = {"name": "mine", "using": f"id in (select {table}_mine())"}
        made = await admin.post(f"{TABLES}/{table}/policies", json=new)
        assert made.status_code == 201, made.text
        await service.post(f"{ROWS}/{table}", json={"id": 7, "user_id": member.id})
        assert await seen(member, table) == [7]

    async def test_row_security_is_not_switched_on_over_them(self, admin: Caller):
        table = await notes(admin)
        await run(
            admin,
            f"alter table {table} disable row level security;"
            f" create policy p on {table} using (id in (select id from {table}))",
        )
        response = await admin.patch(f"{TABLES}/{table}", json={"row_security": True})
        assert response.json()["code"] == "policy_reads_itself", response.text

    async def test_of_the_platforms_own_tables_are_refused_too(self, admin: Caller):
        new = {"name": unique("p"), "using": "exists (select from objects o where o.name = '')"}
        path = f"{TABLES}/objects/policies"
        refused = await admin.post(path, params={"schema": "storage"}, json=new)
        assert refused.json()["code"] == "policy_reads_itself", refused.text


class TestTablesOfThePlatform:
    """Files, buckets and messages: whoever may manage policies decides about those, too."""

    OBJECTS = f"{TABLES}/objects/policies"

    async def test_are_opened_and_closed_by_whoever_manages_policies(
        self, admin: Caller, member: Caller, outsider: Caller
    ):
        await promoted(admin, outsider, await make_group(admin, "policies:manage", "tables:read"))
        for table, schema in (
            ("objects", "storage"),
            ("buckets", "storage"),
            ("messages", "realtime"),
        ):
            path, params = f"{TABLES}/{table}/policies", {"schema": schema}
            new = {"name": unique("p"), "command": "select", "using": "false"}
            refused = await member.post(path, params=params, json=new)
            assert refused.status_code == 403, refused.text
            made = await outsider.post(path, params=params, json=new)
            assert made.status_code == 201, made.text
            one = f"{path}/{new['name']}"
            changed = await outsider.patch(one, params=params, json={"using": "1 = 2"})
            assert changed.json()["using"] == "(1 = 2)", changed.text
            assert (await outsider.delete(one, params=params)).status_code == 204

    @pytest.mark.parametrize(
        "using",
        [
            "bucket_id = 'a' and (storage.foldername(name))[1] = (select auth.uid()::text)",
            "owner_id = auth.uid()::text",
            "bucket_id in (select id from storage.buckets where public)",
            "metadata ->> 'mimetype' like 'image/%'",
        ],
    )
    async def test_understand_what_guides_for_supabase_write(self, admin: Caller, using: str):
        new = {"name": unique("p"), "command": "select", "using": using}
        made = await admin.post(self.OBJECTS, params={"schema": "storage"}, json=new)
        assert made.status_code == 201, made.text
        assert "pg_temp" not in made.json()["using"]
        gone = await admin.delete(f"{self.OBJECTS}/{new['name']}", params={"schema": "storage"})
        assert gone.status_code == 204

    @pytest.mark.parametrize(
        "hostile",
        [
            "'{{1}}'::public.{d}[] is not null",
            "name = any ('{{1}}'::public.{d}[]::text[])",
            "'(1)'::public.{c} is not null",
            "'{{\"(1)\"}}'::public.{c}[] is not null",
            "'[1,2]'::public.{r} is not null",
            "exists (select '{{1}}'::public.{d}[])",
            "(select count(*) from unnest('{{1}}'::public.{d}[])) > 0",
            "'1'::public.{d} is not null",
            # What is an enum now may be a domain by the time the platform reads its name.
            "'{{a}}'::public.{e}[] is not null",
            "'a'::public.{e} is not null",
            "json_value('{{}}'::jsonb, '$.a' returning public.{e} default 'a' on empty) = 'a'",
            (
                "exists (select from json_table('[]'::jsonb, '$[*]'"
                " columns (n public.{e}[] path '$.n' default '{{a}}' on empty)))"
            ),
        ],
    )
    async def test_run_no_code_of_whoever_writes_a_policy(self, admin: Caller, hostile: str):
        """Postgres reads a literal by the checks of its type, as whoever makes the policy."""
        name = unique("t")
        types = {"d": f"{name}_d", "c": f"{name}_c", "r": f"{name}_r", "e": f"{name}_e"}
        await run(
            admin,
            f"create table {name}_seen (who text); grant all on {name}_seen to public;"
            f"create function public.{name}_f(text) returns bool language plpgsql as"
            f" $$ begin insert into public.{name}_seen values (current_user); return true; end $$;"
            f"create domain {types['d']} as text check (public.{name}_f(value));"
            f"create type {types['c']} as (a {types['d']});"
            f"create type {types['r']} as range (subtype = {types['d']});"
            f"create type {types['e']} as enum ('a')",
        )
        for members in ({"using": hostile.format(**types)}, {"check": hostile.format(**types)}):
            new = {"name": unique("p"), "command": "all"} | members
            refused = await admin.post(self.OBJECTS, params={"schema": "storage"}, json=new)
            assert refused.json()["code"] == "type_of_yours", refused.text
        seen = await run(admin, f"select distinct who from {name}_seen where who <> current_user")
        assert seen["results"][-1]["rows"] == []

    async def test_keep_what_closes_the_platforms_own_rows(self, admin: Caller):
        one = f"{self.OBJECTS}/system buckets are closed"
        for response in (
            await admin.patch(one, params={"schema": "storage"}, json={"using": "true"}),
            await admin.patch(one, params={"schema": "storage"}, json={"name": "mine"}),
            await admin.delete(one, params={"schema": "storage"}),
        ):
            assert response.status_code == 403, response.text
            assert response.json()["code"] == "policy_of_platform"

    async def test_are_not_reached_by_what_stands_in_an_expression(self, admin: Caller):
        for using in (
            "true); drop table storage.objects; --",
            "true) with check (true",
            "exists (select from auth.users)",
            "nowhere = 1",
        ):
            new = {"name": unique("p"), "using": using}
            response = await admin.post(self.OBJECTS, params={"schema": "storage"}, json=new)
            if response.status_code == 201:  # read by nobody who may not
                await admin.delete(f"{self.OBJECTS}/{new['name']}", params={"schema": "storage"})
                assert using == "exists (select from auth.users)"
            else:
                assert response.status_code == 422, response.text
