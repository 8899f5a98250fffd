"""Resetting, forgetting, setting and changing passwords; tokens about themselves."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import bcrypt
import httpx
import pytest
from argon2.low_level import Type, hash_secret
from sqlalchemy import text

from tests.fixtures.actors import Caller, sign_in, turned_away
from tests.fixtures.app import PASSWORD
from tests.fixtures.outbox import Outbox
from undercroft.app import Application

AUTH = "/api/v1/auth"
NEW = "Another-Pass-43"


async def reset_token(client: httpx.AsyncClient, outbox: Outbox, identifier: str) -> str:
    body = {"identifier": identifier}
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    answer = await client.post(f"{AUTH}/password-reset/request", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    link = (await outbox.next(identifier, "password_reset"))["link"]
    assert link.startswith("http://localhost:8000/reset-password?token=")
    return parse_qs(urlsplit(link).query)["token"][0]


async def confirm(client: httpx.AsyncClient, token: str, new: str = NEW) -> httpx.Response:
    body = {"token": token, "new_password": new}
    return await client.post(f"{AUTH}/password-reset/confirm", json=body)


class TestReset:
    async def test_ends_every_session_and_works_once_for_fifty_at_once(
        self, client: httpx.AsyncClient, member: Caller, outbox: Outbox
    ):
        token = await reset_token(client, outbox, member.identifier)
        answers = await asyncio.gather(*(confirm(client, token) for _ in range(50)))
        assert sorted(a.status_code for a in answers) == [204] + [401] * 49
        assert await turned_away(member)
        old = {"identifier": member.identifier, "password": PASSWORD}
        assert (await client.post(f"{AUTH}/login", json=old)).status_code == 401
        assert (await sign_in(client, member.identifier, NEW)).id == member.id
        assert (await outbox.next(member.identifier, "password_changed"))["kind"]

    async def test_answers_alike_for_unknown_identifiers(
        self, client: httpx.AsyncClient, member: Caller
    ):
        answers = [
            await client.post(f"{AUTH}/password-reset/request", json={"identifier": identifier})
            for identifier in (member.identifier, "nobody-at-all@example.com")
        ]
        assert answers[0].json() == answers[1].json()

    async def test_refused_password_leaves_the_link_good(
        self, client: httpx.AsyncClient, member: Caller, outbox: Outbox
    ):
        token = await reset_token(client, outbox, member.identifier)
        refused = await confirm(client, token, "password")
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "#/new_password"
        assert (await confirm(client, token)).status_code == 204

    async def test_a_newer_reset_makes_older_links_useless(
        self, client: httpx.AsyncClient, member: Caller, outbox: Outbox
    ):
        first = await reset_token(client, outbox, member.identifier)
        second = await reset_token(client, outbox, member.identifier)
        assert (await confirm(client, second)).status_code == 204
        assert (await confirm(client, first)).status_code == 401

    @pytest.mark.parametrize("kind", ["access_token", "session_token", "refresh_token"])
    async def test_other_tokens_are_no_reset_tokens(
        self, client: httpx.AsyncClient, member: Caller, kind: str
    ):
        assert (await confirm(client, member.tokens[kind][:512])).status_code == 401

    async def test_reset_token_is_no_other_token(
        self, client: httpx.AsyncClient, member: Caller, outbox: Outbox
    ):
        token = await reset_token(client, outbox, member.identifier)
        refresh = await client.post(f"{AUTH}/refresh", json={"refresh_token": token})
        assert refresh.status_code == 401
        for headers in ({"Authorization": f"Bearer {token}"}, {"X-Session-Token": token}):
            assert (await client.get("/api/v1/users/me", headers=headers)).status_code == 401


class TestForget:
    async def test_by_code(self, client: httpx.AsyncClient, member: Caller, outbox: Outbox):
        body = {"identifier": member.identifier, "channel": "email", "purpose": "password_reset"}
        await outbox.code(member.identifier)
        await client.post(f"{AUTH}/send-one-time-password", json=body)
        code = await outbox.code(member.identifier)
        proof = {"identifier": member.identifier, "channel": "email", "otp": code}
        answer = await client.post(f"{AUTH}/forget-password", json=proof | {"new_password": NEW})
        assert answer.status_code == 204, answer.text
        assert (await sign_in(client, member.identifier, NEW)).id == member.id

    async def test_by_link(self, client: httpx.AsyncClient, member: Caller, outbox: Outbox):
        token = await reset_token(client, outbox, member.identifier)
        body = {"token": token, "new_password": NEW}
        assert (await client.post(f"{AUTH}/forget-password", json=body)).status_code == 204

    @pytest.mark.parametrize(
        "proof", [{}, {"token": "x", "otp": "123456"}, {"identifier": "a@example.com"}]
    )
    async def test_asks_for_one_whole_proof(self, client: httpx.AsyncClient, proof: dict[str, str]):
        body = proof | {"new_password": NEW}
        assert (await client.post(f"{AUTH}/forget-password", json=body)).status_code == 422


class TestChange:
    async def test_alias_ends_other_sessions(self, client: httpx.AsyncClient, member: Caller):
        other = await sign_in(client, member.identifier)
        body = {"current_password": PASSWORD, "new_password": NEW}
        assert (await member.post(f"{AUTH}/change-password", json=body)).status_code == 204
        assert await turned_away(other)
        assert (await member.get("/api/v1/users/me")).status_code == 200

    async def test_wrong_current_password_locks_after_five(self, member: Caller):
        body = {"current_password": "Wrong-Horse-42", "new_password": NEW}
        answers = [await member.post(f"{AUTH}/change-password", json=body) for _ in range(6)]
        assert [a.status_code for a in answers] == [403] * 5 + [429]


async def test_hashes_from_elsewhere_are_good_and_become_ours(
    app: Application, client: httpx.AsyncClient, member: Caller
):
    """Whatever made them: salts, digests, lanes and variants differ."""
    login = f"{AUTH}/login"
    for salt, passes, lanes, digest, variant in [
        (16, 3, 1, 32, Type.ID),
        (8, 3, 4, 32, Type.ID),
        (16, 1, 1, 12, Type.ID),
        (32, 1, 2, 64, Type.ID),
        (16, 3, 1, 32, Type.I),
        (16, 1, 1, 32, Type.D),
    ]:
        secret = PASSWORD.encode()
        theirs = hash_secret(secret, b"s" * salt, passes, 8192, lanes, digest, variant).decode()
        async with app.parts.database.unit_of_work() as session:
            change = text("UPDATE auth.users SET password_hash = :hash WHERE id = :id")
            await session.execute(change, {"hash": theirs, "id": member.id})
        for password, status in (("Wrong-Horse-42", 401), (PASSWORD, 200), (PASSWORD, 200)):
            body = {"identifier": member.identifier, "password": password}
            assert (await client.post(login, json=body)).status_code == status, theirs
        async with app.parts.database.unit_of_work() as session:
            kept = text("SELECT password_hash FROM auth.users WHERE id = :id")
            assert await session.scalar(kept, {"id": member.id}) != theirs


@pytest.mark.parametrize(
    "hashed",
    [
        "$pbkdf2-sha256$29000$c2FsdHNhbHQ$Vw.Bu6fvZ5jPKmPxpjvl0fZWLXZz1PVTOZCrF8.hZ4c",
        "$argon2id$v=19$m=8192,t=1,p=1$not base 64$neither",
        "$argon2id$v=19$m=1,t=0,p=9$c2FsdHNhbHQ$c2FsdHNhbHQ",
        f"$2b$99${'a' * 53}",
        "5f4dcc3b5aa765d61d8327deb882cf99",
        "ä" * 255,
    ],
    ids=["unknown", "broken", "impossible", "bcrypt", "md5", "long"],
)
async def test_a_hash_that_nobody_reads_is_a_wrong_password(
    app: Application, client: httpx.AsyncClient, member: Caller, hashed: str
):
    async with app.parts.database.unit_of_work() as session:
        change = text("UPDATE auth.users SET password_hash = :hash WHERE id = :id")
        await session.execute(change, {"hash": hashed, "id": member.id})
    body = {"identifier": member.identifier, "password": PASSWORD}
    refused = await client.post(f"{AUTH}/login", json=body)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credentials")
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert (await member.post(f"{AUTH}/change-password", json=body)).status_code == 403


async def test_of_a_longer_password_bcrypt_compares_what_it_reads(
    app: Application, client: httpx.AsyncClient, member: Caller
):
    long = "Correct-Horse-42 " * 6
    theirs = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    async with app.parts.database.unit_of_work() as session:
        change = text("UPDATE auth.users SET password_hash = :hash WHERE id = :id")
        await session.execute(change, {"hash": theirs, "id": member.id})
    wrong = {"identifier": member.identifier, "password": f"x{long}"}
    assert (await client.post(f"{AUTH}/login", json=wrong)).status_code == 401
    await sign_in(client, member.identifier, long)
    await sign_in(client, member.identifier, long)


class TestTokenInfo:
    async def test_says_what_the_token_is(self, member: Caller, service: Caller):
        info = (await member.get(f"{AUTH}/token-info")).json()
        assert info["token_type"] == "access"
        assert info["session_id"] == member.tokens["session_id"]
        assert 3500 < info["expires_in"] <= 3600
        assert info["aal"] == "aal1"
        assert (await service.get(f"{AUTH}/token-info")).status_code == 403
