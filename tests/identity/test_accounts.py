"""Accounts in the hands of administrators: change, bring back, many at once."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from tests.fixtures.actors import Caller, promoted, register, sign_in, turned_away, unique

API = "/api/v1"


class TestAdministration:
    async def test_changes_an_account(self, clerk: Caller, member: Caller, outsider: Caller):
        path = f"{API}/users/{member.id}"
        changed = await clerk.patch(path, json={"first_name": "Grace", "user_type": "business"})
        assert changed.json()["user_type"] == "business"
        assert (await outsider.patch(path, json={"first_name": "x"})).status_code == 403
        assert (await clerk.patch(path, json={"status": "suspended"})).status_code == 422

    async def test_username_is_unique(self, clerk: Caller, member: Caller, outsider: Caller):
        name = unique("ada")
        body = {"username": name.upper()}
        first = await clerk.patch(f"{API}/users/{member.id}/username", json=body)
        assert first.json()["username"] == name
        again = await clerk.patch(f"{API}/users/{outsider.id}/username", json=body)
        assert again.status_code == 409
        odd = await clerk.patch(f"{API}/users/{member.id}/username", json={"username": "a b"})
        assert odd.status_code == 422

    async def test_password_reset_ends_sessions(self, clerk: Caller, member: Caller):
        path = f"{API}/users/{member.id}/password"
        weak = await clerk.patch(path, json={"new_password": "password"})
        assert weak.status_code == 422
        done = await clerk.patch(path, json={"new_password": "Brand-New-Pass-77"})
        assert done.status_code == 204
        assert await turned_away(member)
        await sign_in(member.client, member.identifier, "Brand-New-Pass-77")

    async def test_superusers_are_out_of_reach(self, clerk: Caller, admin: Caller):
        path = f"{API}/users/{admin.id}"
        for suffix, body in (
            ("", {"first_name": "x"}),
            ("/username", {"username": unique("x")}),
            ("/password", {"new_password": "Brand-New-Pass-77"}),
        ):
            assert (await clerk.patch(path + suffix, json=body)).status_code == 403
        assert (await clerk.delete(path)).status_code == 403

    async def test_passwords_of_those_with_more_rights_are_out_of_reach(
        self, clerk: Caller, admin: Caller, member: Caller
    ):
        await promoted(admin, member, "moderator")
        path = f"{API}/users/{member.id}/password"
        refused = await clerk.patch(path, json={"new_password": "Brand-New-Pass-77"})
        assert (refused.status_code, refused.json()["code"]) == (403, "above_you")

    async def test_own_password_needs_the_old_one(self, clerk: Caller):
        path = f"{API}/users/{clerk.id}/password"
        answer = await clerk.patch(path, json={"new_password": "Brand-New-Pass-77"})
        assert (answer.status_code, answer.json()["code"]) == (409, "not_yourself")


class TestWhoBroughtWhom:
    async def test_is_the_administrator_who_made_the_account(self, admin: Caller, member: Caller):
        body = {"identifier": f"{unique('made')}@example.com", "password": "Correct-Horse-42"}
        made = await admin.post(f"{API}/users", json=body)
        assert (made.status_code, made.json()["invited_by"]) == (201, admin.id)
        assert (await member.get(f"{API}/users/me")).json()["invited_by"] is None


class TestBulk:
    async def test_reports_each(
        self, client: httpx.AsyncClient, clerk: Caller, admin: Caller, member: Caller
    ):
        other = await register(client)
        nobody = str(uuid4())
        ids = [member.id, other.id, clerk.id, admin.id, nobody]
        body = {"action": "deactivate", "user_ids": ids}
        report = (await clerk.post(f"{API}/users/bulk-action", json=body)).json()
        codes = {line["user_id"]: line["code"] for line in report["results"]}
        assert codes == {
            member.id: None,
            other.id: None,
            clerk.id: "not_yourself",
            admin.id: "above_you",
            nobody: "user_not_found",
        }
        assert (report["affected"], report["failed"]) == (2, 3)
        assert (await admin.get(f"{API}/users/me")).status_code == 200
        assert await turned_away(member)

    async def test_two_at_once_do_not_block_each_other(
        self, client: httpx.AsyncClient, clerk: Caller, admin: Caller
    ):
        people = [(await register(client)).id for _ in range(6)]
        bodies = [
            {"action": "deactivate", "user_ids": order}
            for order in (people, people[::-1], people[3:] + people[:3])
        ]
        answers = await asyncio.gather(
            *(
                caller.post(f"{API}/users/bulk-action", json=body)
                for caller in (clerk, admin)
                for body in bodies
            )
        )
        assert {answer.status_code for answer in answers} == {200}

    @pytest.mark.parametrize("count", [0, 101])
    async def test_takes_1_to_100(self, clerk: Caller, count: int):
        body = {"action": "delete", "user_ids": [str(uuid4()) for _ in range(count)]}
        assert (await clerk.post(f"{API}/users/bulk-action", json=body)).status_code == 422
