"""Authenticator apps, recovery codes, passkeys, and proving again who is there."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pyotp
import pytest
from sqlalchemy import text

from tests.fixtures.actors import (
    Caller,
    make_group,
    promoted,
    settled,
    sign_in,
    turned_away,
    unique,
)
from tests.fixtures.app import PASSWORD
from tests.identity.authenticator import Authenticator
from undercroft.foundation.clock import utc_now
from undercroft.identity.auth.gate import announce_session

AUTH = "/api/v1/auth"
ME = "/api/v1/users/me"


def code_of(secret: str, steps: int = 1) -> str:
    """The next code, which is newer than the one that `add_totp` used up.

    It is good however late it is: a step ends between any two statements, and then it is that of
    now. The code before would be too old.
    """
    return pyotp.TOTP(secret).at(utc_now() + timedelta(seconds=30 * steps))


async def add_totp(caller: Caller) -> tuple[str, list[str], str]:
    """Return (secret, recovery codes, factor id); `caller` gets its new tokens."""
    begun = (await caller.post(f"{AUTH}/factors/totp", json={})).json()
    body = {"code": code_of(begun["secret"], 0)}
    added = await caller.post(f"{AUTH}/factors/totp/{begun['id']}/confirm", json=body)
    assert added.status_code == 200, added.text
    caller.tokens = added.json()["tokens"]
    return begun["secret"], added.json()["recovery_codes"], begun["id"]


async def add_passkey(caller: Caller, authenticator: Authenticator) -> httpx.Response:
    begun = (await caller.post(f"{AUTH}/factors/passkeys/options")).json()
    body = {
        "challenge_id": begun["challenge_id"],
        "credential": authenticator.create(begun["options"]),
    }
    added = await caller.post(f"{AUTH}/factors/passkeys", json=body)
    if added.status_code == 201:
        caller.tokens = added.json()["tokens"]
    return added


async def passkey_sign_in(client: httpx.AsyncClient, authenticator: Authenticator, **options: Any):
    begun = (await client.post(f"{AUTH}/passkeys/options")).json()
    body = {
        "challenge_id": begun["challenge_id"],
        "credential": authenticator.get(begun["options"]),
    }
    first = await client.post(f"{AUTH}/login-with-passkey", json=body)
    if options.get("replay"):
        return await client.post(f"{AUTH}/login-with-passkey", json=body)
    return first


async def grow_old(app: Any, caller: Caller) -> None:
    """Make the session one that was opened long ago."""
    async with app.parts.database.unit_of_work() as session:
        await session.execute(
            text(
                "UPDATE auth.sessions SET amr = (SELECT jsonb_agg(e || '{\"timestamp\": 1}')"
                " FROM jsonb_array_elements(amr) e) WHERE id = CAST(:id AS uuid)"
            ),
            {"id": caller.tokens["session_id"]},
        )
        await announce_session(session, caller.tokens["session_id"])
    while not await app.parts.listener.catch_up():  # noqa: ASYNC110 - a busy machine
        await asyncio.sleep(0.02)


class TestTotp:
    async def test_password_alone_opens_nothing(self, client: httpx.AsyncClient, member: Caller):
        secret, _, _ = await add_totp(member)
        assert (await member.get(ME)).status_code == 200
        again = await sign_in(client, member.identifier)
        assert again.tokens["second_factors"] == ["totp"]
        refused = await again.get(ME)
        assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_required")
        for path in ("/api/v1/sessions", f"{AUTH}/factors", f"{AUTH}/token-info"):
            assert (await again.get(path)).status_code == 403
        shown = await again.post(f"{AUTH}/second-factor", json={"code": code_of(secret)})
        assert shown.status_code == 200, shown.text
        again.tokens = shown.json()
        assert again.tokens["second_factors"] == []
        info = (await again.get(f"{AUTH}/token-info")).json()
        assert info["aal"] == "aal2"
        assert {entry["method"] for entry in info["amr"]} == {"password", "totp"}

    async def test_refreshing_a_half_session_leaves_it_half(
        self, client: httpx.AsyncClient, member: Caller
    ):
        await add_totp(member)
        again = await sign_in(client, member.identifier)
        body = {"refresh_token": again.tokens["refresh_token"]}
        again.tokens = (await client.post(f"{AUTH}/refresh", json=body)).json()
        assert again.tokens["second_factors"] == ["totp"]
        assert (await again.get(ME)).status_code == 403

    async def test_other_sessions_must_show_it_too(self, client: httpx.AsyncClient, member: Caller):
        other = await sign_in(client, member.identifier)
        assert (await other.get(ME)).status_code == 200
        await add_totp(member)
        assert (await other.get(ME)).status_code == 403

    async def test_a_code_works_once_for_twenty_at_once(
        self, client: httpx.AsyncClient, member: Caller
    ):
        secret, _, _ = await add_totp(member)
        again = await sign_in(client, member.identifier)
        body = {"code": code_of(secret)}
        answers = await asyncio.gather(
            *(again.post(f"{AUTH}/second-factor", json=body) for _ in range(5))
        )
        assert sorted(a.status_code for a in answers) == [200] + [401] * 4

    async def test_guessing_locks(self, client: httpx.AsyncClient, member: Caller):
        secret, _, _ = await add_totp(member)
        again = await sign_in(client, member.identifier)
        wrong = {"code": f"{(int(code_of(secret)) + 7) % 10**6:06}"}
        answers = await asyncio.gather(
            *(again.post(f"{AUTH}/second-factor", json=wrong) for _ in range(20))
        )
        statuses = sorted(a.status_code for a in answers)
        assert statuses == [401] * 5 + [429] * 15
        right = await again.post(f"{AUTH}/second-factor", json={"code": code_of(secret)})
        assert right.status_code == 429

    async def test_confirming_needs_a_right_code_of_ones_own(
        self, member: Caller, outsider: Caller
    ):
        begun = (await member.post(f"{AUTH}/factors/totp", json={})).json()
        path = f"{AUTH}/factors/totp/{begun['id']}/confirm"
        body = {"code": code_of(begun["secret"])}
        assert (await outsider.post(path, json=body)).status_code == 404
        wrong = {"code": f"{(int(body['code']) + 7) % 10**6:06}"}
        assert (await member.post(path, json=wrong)).status_code == 401
        assert (await member.get(f"{AUTH}/factors")).json()["items"] == []

    async def test_secret_is_sealed_at_rest(self, app, member: Caller):
        secret, _, factor_id = await add_totp(member)
        async with app.parts.database.unit_of_work() as session:
            stored = await session.scalar(
                text("SELECT sealed_secret FROM auth.factors WHERE id = CAST(:id AS uuid)"),
                {"id": factor_id},
            )
        assert secret.encode() not in stored


class TestRecoveryCodes:
    async def test_each_works_once(self, client: httpx.AsyncClient, member: Caller):
        _, codes, _ = await add_totp(member)
        assert len(set(codes)) == 10
        for expected in (200, 401):
            again = await sign_in(client, member.identifier)
            answer = await again.post(f"{AUTH}/second-factor", json={"code": codes[0].upper()})
            assert answer.status_code == expected

    async def test_of_another_account_do_not_work(
        self, client: httpx.AsyncClient, member: Caller, outsider: Caller
    ):
        await add_totp(member)
        _, codes, _ = await add_totp(outsider)
        again = await sign_in(client, member.identifier)
        answer = await again.post(f"{AUTH}/second-factor", json={"code": codes[0]})
        assert answer.status_code == 401

    async def test_new_ones_replace_the_old(self, client: httpx.AsyncClient, member: Caller):
        _, old, _ = await add_totp(member)
        new = (await member.post(f"{AUTH}/recovery-codes")).json()["recovery_codes"]
        again = await sign_in(client, member.identifier)
        assert (await again.post(f"{AUTH}/second-factor", json={"code": old[0]})).status_code == 401
        assert (await again.post(f"{AUTH}/second-factor", json={"code": new[0]})).status_code == 200


class TestPasskeys:
    async def test_signs_in_alone_with_both_factors(
        self, client: httpx.AsyncClient, member: Caller
    ):
        authenticator = Authenticator()
        added = await add_passkey(member, authenticator)
        assert added.status_code == 201, added.text
        assert len(added.json()["recovery_codes"]) == 10
        answer = await passkey_sign_in(client, authenticator)
        assert answer.status_code == 200, answer.text
        assert answer.json()["user"]["id"] == member.id
        signed_in = Caller(client, "", "", answer.json())
        assert (await signed_in.get(f"{AUTH}/token-info")).json()["aal"] == "aal2"

    async def test_finishes_a_sign_in_by_password(self, client: httpx.AsyncClient, member: Caller):
        authenticator = Authenticator()
        await add_passkey(member, authenticator)
        again = await sign_in(client, member.identifier)
        assert again.tokens["second_factors"] == ["passkey"]
        begun = (await again.post(f"{AUTH}/second-factor/passkey/options")).json()
        assert len(begun["options"]["allowCredentials"]) == 1
        body = {
            "challenge_id": begun["challenge_id"],
            "credential": authenticator.get(begun["options"]),
        }
        # The ceremony of one account is of no use to another, nor for signing in.
        assert (await client.post(f"{AUTH}/login-with-passkey", json=body)).status_code == 401
        answer = await again.post(f"{AUTH}/second-factor/passkey", json=body)
        assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize(
        ("change", "value"),
        [
            ("origin", "https://evil.example"),
            ("domain", "evil.example"),
            ("verifies", False),
            ("count", -1),
            ("user_handle", "AAAAAAAAAAAAAAAAAAAAAA"),
            ("id", b"another credential"),
        ],
    )
    async def test_refuses(
        self, client: httpx.AsyncClient, member: Caller, change: str, value: Any
    ):
        authenticator = Authenticator(count=3)
        await add_passkey(member, authenticator)
        setattr(authenticator, change, value)
        answer = await passkey_sign_in(client, authenticator)
        assert (answer.status_code, answer.json()["code"]) == (401, "passkey_refused")

    async def test_refuses_another_key(self, client: httpx.AsyncClient, member: Caller):
        authenticator = Authenticator()
        await add_passkey(member, authenticator)
        authenticator.key = Authenticator().key
        assert (await passkey_sign_in(client, authenticator)).status_code == 401

    async def test_challenge_is_answered_once(self, client: httpx.AsyncClient, member: Caller):
        authenticator = Authenticator()
        await add_passkey(member, authenticator)
        assert (await passkey_sign_in(client, authenticator, replay=True)).status_code == 401

    @pytest.mark.parametrize(
        "credential",
        [{}, {"id": "!"}, {"id": "AAAA", "response": 3}, {"id": 5, "response": {}}],
    )
    async def test_malformed_credentials(
        self, client: httpx.AsyncClient, member: Caller, credential: dict[str, Any]
    ):
        begun = (await client.post(f"{AUTH}/passkeys/options")).json()
        body = {"challenge_id": begun["challenge_id"], "credential": credential}
        assert (await client.post(f"{AUTH}/login-with-passkey", json=body)).status_code == 401
        mine = (await member.post(f"{AUTH}/factors/passkeys/options")).json()
        body = {"challenge_id": mine["challenge_id"], "credential": credential}
        assert (await member.post(f"{AUTH}/factors/passkeys", json=body)).status_code == 401

    async def test_registered_elsewhere_is_refused(self, member: Caller, outsider: Caller):
        authenticator = Authenticator()
        assert (await add_passkey(member, authenticator)).status_code == 201
        assert (await add_passkey(outsider, authenticator)).status_code == 401


class TestLostPhone:
    async def test_operator_removes_the_factors(
        self, client: httpx.AsyncClient, member: Caller, outsider: Caller, admin: Caller
    ):
        await add_totp(member)
        path = f"/api/v1/users/{member.id}/factors"
        assert (await outsider.delete(path)).status_code == 403
        assert (await admin.delete(path)).status_code == 204
        assert await turned_away(member)
        again = await sign_in(client, member.identifier)
        assert (await again.get(ME)).status_code == 200


class TestHalfSignIn:
    async def test_is_nobody_for_rows_too(self, client: httpx.AsyncClient, member: Caller):
        await add_totp(member)
        again = await sign_in(client, member.identifier)

        async def status(caller: Caller) -> int:
            return (await caller.get("/rest/v1/no_such_table")).status_code

        assert await status(again) == (await client.get("/rest/v1/no_such_table")).status_code

    async def test_keyed_requests_of_two_people_are_not_mixed_up(
        self, client: httpx.AsyncClient, member: Caller, outsider: Caller
    ):
        """Half signed in they are nobody yet, and may share an address."""
        headers = {"Idempotency-Key": unique("key")}
        for person in (member, outsider):
            secret, _, _ = await add_totp(person)
            half = await sign_in(client, person.identifier)
            body = {"code": code_of(secret)}
            shown = await half.post(f"{AUTH}/second-factor", json=body, headers=headers)
            assert shown.status_code == 200, shown.text
            assert shown.json()["user"]["id"] == person.id

    async def test_may_log_out(self, client: httpx.AsyncClient, member: Caller):
        await add_totp(member)
        again = await sign_in(client, member.identifier)
        assert (await again.post(f"{AUTH}/logout")).json()["sessions_revoked"] == 1


class TestStepUp:
    async def test_old_session_may_not_add_or_remove_factors(self, app, member: Caller):
        secret, _, factor_id = await add_totp(member)
        await grow_old(app, member)
        assert (await member.get(ME)).status_code == 200
        calls = [
            member.post(f"{AUTH}/factors/totp", json={}),
            member.post(f"{AUTH}/factors/passkeys/options"),
            member.post(f"{AUTH}/recovery-codes"),
            member.delete(f"{AUTH}/factors/{factor_id}"),
            member.post(
                f"{AUTH}/change-password",
                json={"current_password": PASSWORD, "new_password": "Another-Pass-43"},
            ),
            member.post(f"{AUTH}/reauthenticate", json={"password": PASSWORD}),
        ]
        for answer in [await call for call in calls]:
            assert (answer.status_code, answer.json()["code"]) == (403, "step_up_required")
        shown = await member.post(f"{AUTH}/second-factor", json={"code": code_of(secret)})
        member.tokens = shown.json()
        assert (await member.delete(f"{AUTH}/factors/{factor_id}")).status_code == 204
        again = await sign_in(member.client, member.identifier)
        assert again.tokens["second_factors"] == []

    async def test_password_steps_up_where_there_is_no_factor(self, app, member: Caller):
        await grow_old(app, member)
        refused = await member.post(f"{AUTH}/factors/totp", json={})
        assert refused.json()["code"] == "step_up_required"
        wrong = await member.post(f"{AUTH}/reauthenticate", json={"password": "Wrong-Horse-42"})
        assert wrong.status_code == 403
        shown = await member.post(f"{AUTH}/reauthenticate", json={"password": PASSWORD})
        assert shown.status_code == 200

        async def stepped_up() -> bool:
            return (await member.post(f"{AUTH}/factors/totp", json={})).status_code == 201

        # The session is the same one, so the old access token has stepped up too.
        assert await settled(stepped_up)

    async def test_old_session_makes_no_keys_and_deletes_no_account(
        self, app, admin: Caller, member: Caller
    ):
        await promoted(admin, member, await make_group(admin, "api_keys:create"))
        await grow_old(app, member)
        body = {"name": "a thief's", "permissions": []}
        path = "/api/v1/settings/delete-account?confirm=true"
        for answer in (
            await member.post("/api/v1/api-keys", json=body),
            await member.post(path),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "step_up_required")
        assert (await member.post(f"{AUTH}/reauthenticate", json={"password": PASSWORD})).is_success

        async def stepped_up() -> bool:
            return (await member.post("/api/v1/api-keys", json=body)).status_code == 201

        assert await settled(stepped_up)
        assert (await member.post(path)).status_code == 204

    async def test_anonymous_and_service_have_no_factors(
        self, client: httpx.AsyncClient, service: Caller
    ):
        assert (await client.get(f"{AUTH}/factors")).status_code == 401
        code = {"code": "123456"}
        assert (await client.post(f"{AUTH}/second-factor", json=code)).status_code == 401
        assert (await service.post(f"{AUTH}/second-factor", json=code)).status_code == 403
        assert (await service.post(f"{AUTH}/factors/totp", json={})).status_code == 403
