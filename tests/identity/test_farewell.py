"""Deactivated, deleted, exported, erased."""

from datetime import timedelta

import httpx
from sqlalchemy import text

from tests.fixtures.actors import Caller, sign_in, turned_away
from undercroft.app import Application
from undercroft.foundation.clock import utc_now
from undercroft.identity.users.erasure import erase_deleted
from undercroft.wings import PERSONAL

API = "/api/v1"


class TestFarewell:
    async def test_deactivated_by_oneself(self, member: Caller):
        assert (await member.post(f"{API}/settings/deactivate-account")).status_code == 204
        assert await turned_away(member)

    async def test_deletion_wants_confirmation_and_no_orphans(self, member: Caller):
        path = f"{API}/settings/delete-account"
        assert (await member.post(path)).status_code == 422
        made = await member.post(f"{API}/organizations", json={"name": "Left behind"})
        owner = await member.post(f"{path}?confirm=true")
        assert (owner.status_code, owner.json()["code"]) == (409, "still_owner")
        await member.delete(f"{API}/organizations/{made.json()['id']}")
        assert (await member.post(f"{path}?confirm=true")).status_code == 204

    async def test_export_has_everything_but_secrets(self, member: Caller):
        await member.post(f"{API}/organizations", json={"name": "Mine"})
        answer = await member.get(f"{API}/settings/export")
        assert answer.status_code == 200, answer.text
        data = answer.json()
        assert data["account"]["email"] == member.identifier
        assert data["organizations"][0]["name"] == "Mine"
        assert data["sessions"]
        assert "hash" not in answer.text

    async def test_erased_after_the_grace_period(self, app: Application, member: Caller):
        await member.put(f"{API}/settings/profile", json={"bio": "secret life", "country": "FR"})
        gone = await member.post(f"{API}/settings/delete-account?confirm=true")
        assert gone.status_code == 204, gone.text
        work = app.parts.database.unit_of_work
        async with work() as session:
            await erase_deleted(session, PERSONAL, before=utc_now() - timedelta(days=30))
        assert member.identifier in await self._row(app, member)
        async with work() as session:
            assert await erase_deleted(session, PERSONAL, before=utc_now() + timedelta(seconds=5))
        row = await self._row(app, member)
        assert member.identifier not in row
        assert "secret life" not in row
        again = {"identifier": member.identifier, "password": member.password}
        assert (await member.client.post(f"{API}/auth/register", json=again)).status_code == 201
        await sign_in(member.client, member.identifier)

    async def _row(self, app: Application, member: Caller) -> str:
        async with app.parts.database.unit_of_work() as session:
            found = await session.scalar(
                text("SELECT to_jsonb(u)::text FROM auth.users u WHERE id = :id"),
                {"id": member.id},
            )
        return str(found)

    async def test_deleted_can_be_brought_back_and_keeps_its_address_until_then(
        self, client: httpx.AsyncClient, member: Caller, clerk: Caller
    ):
        await member.post(f"{API}/settings/delete-account?confirm=true")
        body = {"identifier": member.identifier}
        free = await client.post(f"{API}/auth/check-user-availability", json=body)
        assert free.json() == {"available": False}
        found = await clerk.get(f"{API}/users", params={"status": "deleted"})
        assert member.id in {user["id"] for user in found.json()["items"]}
        assert (await clerk.get(f"{API}/users/{member.id}")).status_code == 404
        back = await clerk.post(f"{API}/users/{member.id}/activate")
        assert (back.status_code, back.json()["status"]) == (200, "active")
        await sign_in(client, member.identifier)
