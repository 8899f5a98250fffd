"""Registration, sign-in, refresh, logout over HTTP."""

import asyncio

import httpx
from sqlalchemy import text

from tests.fixtures.actors import Caller, register, sign_in, unique
from tests.fixtures.app import PASSWORD
from tests.fixtures.hang_up import hang_up
from undercroft.app import Application


class TestRegister:
    async def test_account_can_sign_in_and_sees_itself(self, client: httpx.AsyncClient):
        member = await register(client)
        me = await member.get("/api/v1/users/me")
        assert me.status_code == 200
        assert me.json()["email"] == member.identifier

    async def test_answers_alike_for_a_taken_identifier(
        self, client: httpx.AsyncClient, member: Caller
    ):
        body = {"identifier": member.identifier, "password": "Another-Pass-43"}
        again = await client.post("/api/v1/auth/register", json=body)
        fresh = await client.post(
            "/api/v1/auth/register", json=body | {"identifier": f"{unique('x')}@example.com"}
        )
        assert again.status_code == fresh.status_code == 201
        assert again.json()["message"] == fresh.json()["message"]
        refused = await client.post("/api/v1/auth/login", json=body)
        assert refused.status_code == 401


class TestSignIn:
    async def test_who_hangs_up_leaves_their_turn_to_others(self, app: Application, member: Caller):
        left = asyncio.Event()
        left.set()
        body = {"identifier": member.identifier, "password": PASSWORD}
        gone = (hang_up(app, "/api/v1/auth/login", body, {}, left) for _ in range(20))
        await asyncio.gather(*gone)
        again = await sign_in(member.client, member.identifier, PASSWORD)
        found = (await again.get("/api/v1/sessions")).json()["items"]
        known = {member.tokens["session_id"], again.tokens["session_id"]}
        assert {session["id"] for session in found} == known

    async def test_nobody_waits_for_another_change_of_the_account(
        self, app: Application, member: Caller
    ):
        touch = text("UPDATE auth.users SET updated_at = updated_at WHERE id = :id")
        async with app.parts.database.unit_of_work() as changing, asyncio.timeout(10):
            await changing.execute(touch, {"id": member.id})
            await sign_in(member.client, member.identifier, PASSWORD)
        await asyncio.gather(
            *(sign_in(member.client, member.identifier, PASSWORD) for _ in range(5))
        )
        me = (await member.get("/api/v1/users/me")).json()
        assert me["last_sign_in_at"] > member.tokens["user"]["last_sign_in_at"]


class TestRefresh:
    async def test_fifty_at_once_get_one_successor(self, client: httpx.AsyncClient, member: Caller):
        body = {"refresh_token": member.tokens["refresh_token"]}
        answers = await asyncio.gather(
            *(client.post("/api/v1/auth/refresh", json=body) for _ in range(50))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["refresh_token"] for answer in answers}) == 1


class TestLogout:
    async def test_access_token_dies_at_once(self, member: Caller):
        revoked = (await member.post("/api/v1/auth/logout")).json()
        assert revoked == {
            "sessions_revoked": 1,
            "session_ids": [member.tokens["session_id"]],
            "access_token_revoked": True,
            "refresh_tokens_revoked": True,
            "tokens_revoked": True,
        }
        again = await member.post("/api/v1/auth/logout")
        assert (again.json()["sessions_revoked"], again.json()["tokens_revoked"]) == (0, False)
        await asyncio.sleep(0.05)
        assert (await member.get("/api/v1/users/me")).status_code == 401
        assert (await sign_in(member.client, member.identifier, PASSWORD)).id == member.id
