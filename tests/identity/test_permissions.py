"""Permissions, groups, who is in which, and what nobody may do with them."""

import asyncio

import asyncpg
import httpx
import pytest

from tests.fixtures.actors import Caller, make_group, promoted, register, settled, unique
from tests.fixtures.policies import PolicyCaller, claims_of
from tests.fixtures.query_counter import QueryCounter
from undercroft.foundation.apps import installed_apps, load_app
from undercroft.identity.access.catalogue import EARLIER

API = "/api/v1"


async def group_id(admin: Caller, codename: str) -> str:
    groups = (await admin.get(f"{API}/groups?limit=100")).json()["items"]
    return next(group["id"] for group in groups if group["codename"] == codename)


async def may(caller: Caller, path: str) -> bool:
    return (await caller.get(path)).status_code == 200


class TestCatalogue:
    async def test_holds_every_earlier_permission(self, admin: Caller):
        found: set[str] = set()
        cursor = None
        while True:
            suffix = f"&cursor={cursor}" if cursor else ""
            page = (await admin.get(f"{API}/permissions?limit=100{suffix}")).json()
            found |= {item["codename"] for item in page["items"]}
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert len(EARLIER) == 57
        assert set(EARLIER.values()) <= found
        assert "groups:assign" in found

    async def test_custom_permission_lives_and_dies(self, admin: Caller):
        name = f"{unique('invoices')}:read"
        made = await admin.post(f"{API}/permissions", json={"codename": name, "name": "Invoices"})
        assert made.status_code == 201, made.text
        path = f"{API}/permissions/{made.json()['id']}"
        again = await admin.post(f"{API}/permissions", json={"codename": name, "name": "Twice"})
        assert again.status_code == 409
        renamed = await admin.put(path, json={"codename": f"{name}s", "category": "money"})
        assert (renamed.json()["codename"], renamed.json()["name"]) == (f"{name}s", "Invoices")
        assert (await admin.delete(path)).status_code == 204
        assert (await admin.get(path)).status_code == 404

    async def test_what_routes_ask_for_is_fixed(self, admin: Caller):
        page = (await admin.get(f"{API}/permissions?search=users:read")).json()
        path = f"{API}/permissions/{page['items'][0]['id']}"
        assert (await admin.delete(path)).status_code == 409
        assert (await admin.put(path, json={"name": "x"})).status_code == 409

    @pytest.mark.parametrize("name", ["nonsense", "Users:read", "a:b:c", "", "a b:c"])
    async def test_refuses_other_names(self, admin: Caller, name: str):
        answer = await admin.post(f"{API}/permissions", json={"codename": name, "name": "x"})
        assert answer.status_code == 422


class TestGroups:
    async def test_seeded_groups_give_what_they_gave_before(self, admin: Caller):
        groups = (await admin.get(f"{API}/groups?limit=100")).json()["items"]
        of_apps = {p.name for name in installed_apps() for p in load_app(name).permissions}
        held = {group["codename"]: {*group["permissions"]} - of_apps for group in groups}
        assert {"profiles:read", "uploads:create"} <= held["user"] <= held["moderator"]
        assert "activity:read" in held["moderator"] - held["vendor"]
        assert "groups:assign" in held["admin"]
        assert not held["super_admin"]

    async def test_permissions_are_replaced_by_either_name(self, admin: Caller):
        group = await make_group(admin, "users:read", "users:create")
        path = f"{API}/groups/{await group_id(admin, group)}/permissions"
        answer = await admin.post(path, json={"permissions": ["view_user", "groups:read"]})
        assert answer.json()["permissions"] == ["groups:read", "users:read"]
        unknown = await admin.post(path, json={"permissions": ["fly:high"]})
        assert unknown.status_code == 422
        assert "fly:high" in unknown.json()["detail"]

    async def test_system_groups_stay(self, admin: Caller):
        for codename in ("super_admin", "user"):
            path = f"{API}/groups/{await group_id(admin, codename)}"
            assert (await admin.delete(path)).status_code == 409
            assert (await admin.put(path, json={"codename": "other"})).status_code == 409
        top = f"{API}/groups/{await group_id(admin, 'super_admin')}"
        assert (await admin.put(top, json={"is_active": False})).status_code == 409
        emptied = await admin.post(f"{top}/permissions", json={"permissions": []})
        assert emptied.status_code == 409

    async def test_duplicates_are_told(self, admin: Caller):
        group = await make_group(admin)
        body = {"codename": group, "name": unique("name")}
        assert (await admin.post(f"{API}/groups", json=body)).status_code == 409

    async def test_a_change_shows_at_the_next_request(self, admin: Caller, member: Caller):
        group = await make_group(admin, "users:read")
        assert not await may(member, f"{API}/users")
        await promoted(admin, member, group)
        assert await settled(lambda: may(member, f"{API}/users"))
        path = f"{API}/groups/{await group_id(admin, group)}"
        await admin.put(path, json={"is_active": False})

        async def refused() -> bool:
            return not await may(member, f"{API}/users")

        assert await settled(refused)
        await admin.put(path, json={"is_active": True})
        assert await settled(lambda: may(member, f"{API}/users"))
        await admin.delete(path)
        assert await settled(refused)

    async def test_list_takes_two_queries(self, admin: Caller, query_counter: QueryCounter):
        await admin.get(f"{API}/groups")
        with query_counter() as count:
            await admin.get(f"{API}/groups?count=exact")
        assert len(count) <= 3


class TestMine:
    async def test_everybody_is_in_user(self, member: Caller):
        groups = (await member.get(f"{API}/users/me/groups")).json()["items"]
        assert [group["codename"] for group in groups] == ["user"]
        held = (await member.get(f"{API}/users/me/permissions")).json()["items"]
        assert {"codename": "profiles:read", "groups": ["user"]} in held

    async def test_superuser_holds_everything(self, admin: Caller):
        held = (await admin.get(f"{API}/users/me/permissions")).json()["items"]
        assert {entry["codename"] for entry in held} >= set(EARLIER.values())


class TestEscalation:
    @pytest.fixture
    async def clerk(self, client: httpx.AsyncClient, admin: Caller) -> Caller:
        """May manage groups and assign them, and nothing else."""
        clerk = await register(client, "clerk")
        group = await make_group(
            admin, "groups:read", "groups:create", "groups:update", "groups:assign", "groups:delete"
        )
        await promoted(admin, clerk, group)
        assert await settled(lambda: may(clerk, f"{API}/groups"))
        return clerk

    async def test_cannot_put_a_permission_they_lack_into_a_group(self, clerk: Caller):
        name = unique("mine")
        made = await clerk.post(f"{API}/groups", json={"codename": name, "name": name})
        path = f"{API}/groups/{made.json()['id']}/permissions"
        refused = await clerk.post(path, json={"permissions": ["users:delete"]})
        assert refused.status_code == 403
        assert refused.json()["code"] == "cannot_grant"
        allowed = await clerk.post(path, json={"permissions": ["groups:read"]})
        assert allowed.status_code == 200

    async def test_cannot_join_or_leave_a_group_that_holds_more(
        self, admin: Caller, clerk: Caller, member: Caller
    ):
        for codename in ("admin", "super_admin"):
            for target in (clerk, member):
                current = (await target.get(f"{API}/users/me/groups")).json()["items"]
                body = {"groups": [*(group["codename"] for group in current), codename]}
                refused = await clerk.post(f"{API}/users/{target.id}/groups", json=body)
                assert refused.status_code == 403, refused.text
        await promoted(admin, member, "admin")
        taken = await clerk.post(f"{API}/users/{member.id}/groups", json={"groups": ["user"]})
        assert taken.status_code == 403

    async def test_cannot_touch_a_superuser(self, admin: Caller, clerk: Caller):
        body = {"groups": ["user"]}
        refused = await clerk.post(f"{API}/users/{admin.id}/groups", json=body)
        assert refused.status_code == 403

    async def test_cannot_switch_on_what_they_lack(self, admin: Caller, clerk: Caller):
        group = await make_group(admin, "users:delete")
        path = f"{API}/groups/{await group_id(admin, group)}"
        await admin.put(path, json={"is_active": False})
        assert (await clerk.put(path, json={"is_active": True})).status_code == 403
        assert (await clerk.delete(path)).status_code == 403

    async def test_admin_group_cannot_make_superusers(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller
    ):
        boss = await promoted(admin, await register(client, "boss"), "admin")
        assert await settled(lambda: may(boss, f"{API}/users"))
        for target in (boss, member):
            body = {"groups": ["user", "admin", "super_admin"]}
            refused = await boss.post(f"{API}/users/{target.id}/groups", json=body)
            assert refused.status_code == 403
        body = {"groups": ["user", "moderator"]}
        assert (await boss.post(f"{API}/users/{member.id}/groups", json=body)).status_code == 200

    async def test_unknown_groups_are_named(self, admin: Caller, member: Caller):
        body = {"group_codenames": ["user", "kings"]}
        answer = await admin.post(f"{API}/users/{member.id}/groups", json=body)
        assert answer.status_code == 422
        assert "kings" in answer.json()["detail"]


class TestLastSuperuser:
    async def test_one_remains_when_fifty_are_removed_at_once(
        self, client: httpx.AsyncClient, admin: Caller, service: Caller
    ):
        others = await asyncio.gather(*(register(client, "super") for _ in range(9)))
        for other in others:
            await promoted(admin, other, "super_admin")
        everyone = [admin, *others]
        answers = await asyncio.gather(
            *(
                service.post(f"{API}/users/{target.id}/groups", json={"groups": ["user"]})
                if turn % 2
                else service.post(f"{API}/users/{target.id}/suspend")
                for turn in range(5)
                for target in everyone
            )
        )
        assert {answer.status_code for answer in answers} <= {200, 409}
        left = []
        for target in everyone:
            user = (await service.get(f"{API}/users/{target.id}")).json()
            groups = (await service.get(f"{API}/users/{target.id}/groups")).json()["items"]
            if user["status"] == "active" or user["status"] == "unverified":
                left += [target for group in groups if group["codename"] == "super_admin"]
        assert len(left) == 1
        # Put the first one back for the tests that follow.
        assert (await service.post(f"{API}/users/{admin.id}/activate")).status_code == 200
        body = {"groups": ["user", "super_admin"]}
        assert (await service.post(f"{API}/users/{admin.id}/groups", json=body)).status_code == 200


class TestExplain:
    async def test_names_the_group_that_decides(self, admin: Caller, member: Caller):
        path = f"{API}/access/explain?user={member.id}&permission="
        allowed = (await admin.get(path + "uploads:create")).json()
        assert allowed["allowed"]
        assert {"group", "account"} == {reason["kind"] for reason in allowed["reasons"]}
        refused = (await admin.get(path + "view_dashboard")).json()
        assert not refused["allowed"]
        assert "moderator" in refused["reasons"][-1]["detail"]

    async def test_says_that_a_table_is_closed(self, admin: Caller, member: Caller):
        path = f"{API}/access/explain?user={member.id}&permission=users:read&resource=public.none"
        closed = (await admin.get(path)).json()
        assert closed["reasons"][-1]["kind"] == "policy"
        assert closed["reasons"][-1]["allows"] is False

    async def test_unknown_names_are_refused(self, admin: Caller, member: Caller):
        path = f"{API}/access/explain?user={member.id}&permission=fly:high"
        assert (await admin.get(path)).status_code == 422


class TestInPolicies:
    async def test_has_answers_for_the_caller(
        self, as_caller: PolicyCaller, admin: Caller, member: Caller
    ):
        async def has(claims: dict[str, str], name: str) -> bool:
            return bool(await as_caller(claims, "SELECT (SELECT auth.has($1))", name))

        assert await has(claims_of(member), "uploads:create")
        assert not await has(claims_of(member), "users:read")
        assert await has(claims_of(admin), "users:read")
        assert await has({"role": "service_role"}, "users:read")
        assert not await has({"role": "anon"}, "uploads:create")

    async def test_nobody_asks_about_others(self, as_caller: PolicyCaller, member: Caller):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_caller(claims_of(member), "SELECT auth.holds($1, 'users:read')", member.id)
