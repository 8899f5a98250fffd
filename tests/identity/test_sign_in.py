"""Registration, sign-in, refresh, logout over HTTP."""

import asyncio

import httpx
import pytest
from argon2.low_level import Type, hash_secret
from sqlalchemy import text

from tests.fixtures.actors import Caller, register, settled, sign_in, turned_away, unique
from tests.fixtures.app import PASSWORD
from tests.fixtures.hang_up import hang_up
from tests.fixtures.live import eventually
from tests.fixtures.query_counter import QueryCounter
from undercroft.app import Application


async def is_waited_for(app: Application) -> bool:
    """Whether somebody waits to start a session."""
    waiting = text(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND database = ("
        "SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND relation = 'auth.sessions'::regclass)"
    )
    async with app.parts.database.unit_of_work() as session:
        return bool(await session.scalar(waiting))


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

    async def test_a_password_that_changed_while_it_was_checked_opens_nothing(
        self, app: Application, member: Caller
    ):
        hold = text("LOCK TABLE auth.sessions IN SHARE MODE")
        change = text("UPDATE auth.users SET password_hash = :hash WHERE id = :id")
        other = hash_secret(b"Another-Pass-43", b"s" * 16, 1, 8192, 1, 32, Type.ID).decode()
        body = {"identifier": member.identifier, "password": PASSWORD}
        async with app.parts.database.unit_of_work() as changing:
            await changing.execute(hold)
            login = asyncio.create_task(member.client.post("/api/v1/auth/login", json=body))
            assert await settled(lambda: is_waited_for(app))
            await changing.execute(change, {"hash": other, "id": member.id})
        assert (await login).status_code == 401
        assert len((await member.get("/api/v1/sessions")).json()["items"]) == 1

    async def test_at_the_same_time_all_replace_an_old_hash(self, app: Application, member: Caller):
        old = hash_secret(PASSWORD.encode(), b"s" * 16, 1, 8192, 2, 32, Type.ID).decode()
        change = text("UPDATE auth.users SET password_hash = :hash WHERE id = :id")
        async with app.parts.database.unit_of_work() as session:
            await session.execute(change, {"hash": old, "id": member.id})
        await asyncio.gather(
            *(sign_in(member.client, member.identifier, PASSWORD) for _ in range(5))
        )
        kept = text("SELECT password_hash <> :hash FROM auth.users WHERE id = :id")
        async with app.parts.database.unit_of_work() as session:
            assert await session.scalar(kept, {"hash": old, "id": member.id})

    async def test_with_a_key_happens_once(self, member: Caller):
        body = {"identifier": member.identifier, "password": PASSWORD}
        headers = {"Idempotency-Key": unique("once")}
        first, second = [
            await member.client.post("/api/v1/auth/login", json=body, headers=headers)
            for _ in range(2)
        ]
        assert first.json() == second.json()
        assert len((await member.get("/api/v1/sessions")).json()["items"]) == 2

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("Origin", f"https://{'x' * 300}"),
            ("User-Agent", f"{'A' * 200}/1.0 CFNetwork/1.0 Darwin/20"),
        ],
    )
    async def test_takes_headers_of_any_length(self, member: Caller, header: str, value: str):
        body = {"identifier": member.identifier, "password": PASSWORD}
        answer = await member.client.post("/api/v1/auth/login", json=body, headers={header: value})
        assert answer.status_code == 200, answer.text

    async def test_takes_no_unit_of_work(
        self, app: Application, member: Caller, query_counter: QueryCounter
    ):
        """Its two statements, each a transaction, go past SQLAlchemy and are not counted."""
        async with app.parts.database.unit_of_work() as session:  # other tests' may ask for it
            await session.execute(text("DELETE FROM webhooks.webhooks"))

        async def takes_none() -> bool:
            with query_counter() as count:
                await sign_in(member.client, member.identifier, PASSWORD)
            return count.statements == []

        assert await eventually(takes_none)  # that one asked is remembered for ten seconds


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
        assert await turned_away(member)
        assert (await sign_in(member.client, member.identifier, PASSWORD)).id == member.id
