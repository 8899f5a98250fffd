"""Signing in and up by code, confirming contacts, guessing."""

import asyncio

import httpx
import pytest

from tests.fixtures.actors import Caller, register, sign_in, turned_away, unique
from tests.fixtures.app import PASSWORD, make_client, running
from tests.fixtures.engines import EngineAddresses
from tests.fixtures.outbox import Outbox
from undercroft.app import create_app
from undercroft.foundation.settings import Settings

AUTH = "/api/v1/auth"


async def send(client: httpx.AsyncClient, identifier: str, purpose: str, channel: str = "email"):
    body = {"identifier": identifier, "channel": channel, "purpose": purpose}
    response = await client.post(f"{AUTH}/send-one-time-password", json=body)
    assert response.status_code == 200, response.text
    return response


def use(identifier: str, code: str, channel: str = "email") -> dict[str, str]:
    return {"identifier": identifier, "channel": channel, "otp": code}


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**6:06}"


class TestSignIn:
    async def test_marks_the_contact_that_got_the_code(
        self, client: httpx.AsyncClient, outbox: Outbox
    ):
        member = await register(client)
        await outbox.code(member.identifier)
        await send(client, member.identifier, "sign_in")
        body = use(member.identifier, await outbox.code(member.identifier))
        answer = await client.post(f"{AUTH}/login-with-otp", json=body)
        assert answer.status_code == 200, answer.text
        user = answer.json()["user"]
        assert user["email_verified_at"]
        assert user["phone_verified_at"] is None
        assert user["status"] == "active"

    async def test_takes_an_unconfirmed_account_from_who_squats_on_it(
        self, client: httpx.AsyncClient, outbox: Outbox
    ):
        squatter = await register(client)
        await outbox.code(squatter.identifier)
        await send(client, squatter.identifier, "sign_in")
        body = use(squatter.identifier, await outbox.code(squatter.identifier))
        assert (await client.post(f"{AUTH}/login-with-otp", json=body)).status_code == 200
        assert await turned_away(squatter)
        refused = await client.post(
            f"{AUTH}/login", json={"identifier": squatter.identifier, "password": PASSWORD}
        )
        assert refused.status_code == 401

    async def test_code_works_once_for_fifty_at_once(
        self, client: httpx.AsyncClient, outbox: Outbox
    ):
        member = await register(client)
        await outbox.code(member.identifier)
        await send(client, member.identifier, "sign_in")
        body = use(member.identifier, await outbox.code(member.identifier))
        answers = await asyncio.gather(
            *(client.post(f"{AUTH}/login-with-otp", json=body) for _ in range(50))
        )
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200] + [401] * 49
        assert {a.json()["code"] for a in answers if a.status_code == 401} == {"code_invalid"}

    async def test_five_wrong_tries_spend_the_code(self, client: httpx.AsyncClient, outbox: Outbox):
        member = await register(client)
        code = await outbox.code(member.identifier)
        await send(client, member.identifier, "sign_in")
        code = await outbox.code(member.identifier)
        for _ in range(5):
            body = use(member.identifier, wrong(code))
            assert (await client.post(f"{AUTH}/login-with-otp", json=body)).status_code == 401
        body = use(member.identifier, code)
        assert (await client.post(f"{AUTH}/login-with-otp", json=body)).status_code == 401

    @pytest.mark.parametrize("code", ["123456", "1408199", "654321", "", "12345a", "１２３４５６"])  # noqa: RUF001
    async def test_no_master_code(self, client: httpx.AsyncClient, member: Caller, code: str):
        body = use(member.identifier, code)
        answer = await client.post(f"{AUTH}/login-with-otp", json=body)
        assert answer.status_code in {401, 422}

    async def test_suspended_account_gets_no_code(
        self, client: httpx.AsyncClient, admin: Caller, outbox: Outbox
    ):
        member = await register(client)
        await outbox.code(member.identifier)
        await admin.post(f"/api/v1/users/{member.id}/suspend")
        await send(client, member.identifier, "sign_in")
        await outbox.settled()
        assert len(await outbox.messages(member.identifier)) == 1


class TestPurpose:
    async def test_code_for_one_purpose_fits_no_other(
        self, client: httpx.AsyncClient, outbox: Outbox
    ):
        member = await register(client)
        confirm = await outbox.code(member.identifier)
        for path in ("login-with-otp", "verify"):
            answer = await client.post(f"{AUTH}/{path}", json=use(member.identifier, confirm))
            assert answer.status_code == 401, path
        body = use(member.identifier, confirm) | {"new_password": "Another-Pass-43"}
        assert (await client.post(f"{AUTH}/forget-password", json=body)).status_code == 401
        body = use(member.identifier, confirm)
        answer = await member.post(f"{AUTH}/verify-email-and-phone", json=body)
        assert answer.json() == {
            "identifier": member.identifier,
            "channel": "email",
            "verified": True,
        }
        assert (await member.get("/api/v1/users/me")).json()["email_verified_at"]

    @pytest.mark.parametrize(
        ("path", "purpose", "more"),
        [
            ("login-with-otp", "sign_in", {}),
            ("forget-password", "password_reset", {"new_password": "Another-Pass-43"}),
            ("verify-email-and-phone", "verify_contact", {}),
            ("verify", "sign_up", {}),
        ],
    )
    async def test_a_code_may_be_brought_with_its_purpose_and_no_other(
        self,
        client: httpx.AsyncClient,
        outbox: Outbox,
        path: str,
        purpose: str,
        more: dict[str, str],
    ):
        member = await register(client)
        code = await outbox.code(member.identifier)
        identifier = f"{unique('new')}@example.com" if path == "verify" else member.identifier
        if purpose != "verify_contact":
            await send(client, identifier, purpose)
            code = await outbox.code(identifier)
        body = use(identifier, code) | more
        other = "sign_in" if purpose == "sign_up" else "sign_up"
        refused = await member.post(f"{AUTH}/{path}", json=body | {"purpose": other})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "#/purpose"
        answer = await member.post(f"{AUTH}/{path}", json=body | {"purpose": purpose})
        assert answer.is_success, answer.text

    async def test_nobody_confirms_the_contact_of_another(
        self, client: httpx.AsyncClient, outsider: Caller, outbox: Outbox
    ):
        member = await register(client)
        code = await outbox.code(member.identifier)
        body = use(member.identifier, code)
        answer = await outsider.post(f"{AUTH}/verify-email-and-phone", json=body)
        assert answer.status_code == 401

    async def test_look_uses_nothing_up(self, client: httpx.AsyncClient, outbox: Outbox):
        member = await register(client)
        code = await outbox.code(member.identifier)
        body = use(member.identifier, code)
        for _ in range(8):
            answer = await client.post(
                f"{AUTH}/verify-one-time-password", json=body | {"purpose": "verify_contact"}
            )
            assert answer.json() == {"valid": True}
        other = await client.post(f"{AUTH}/verify-one-time-password", json=body)
        assert other.status_code == 401


class TestSignUp:
    async def test_makes_an_account_without_a_password(
        self, client: httpx.AsyncClient, outbox: Outbox
    ):
        identifier = f"{unique('new')}@example.com"
        await send(client, identifier, "sign_up")
        body = use(identifier, await outbox.code(identifier))
        answers = await asyncio.gather(
            *(client.post(f"{AUTH}/verify", json=body) for _ in range(20))
        )
        assert sorted(a.status_code for a in answers) == [201] + [401] * 19
        tokens = next(a.json() for a in answers if a.status_code == 201)
        assert tokens["user"]["status"] == "active"
        owner = Caller(client, identifier, "", tokens)
        for password in ("123456", body["otp"]):
            login = {"identifier": identifier, "password": password}
            assert (await client.post(f"{AUTH}/login", json=login)).status_code == 401
        new = {"new_password": PASSWORD}
        assert (await owner.post(f"{AUTH}/set-password", json=new)).status_code == 204
        again = await owner.post(f"{AUTH}/set-password", json=new)
        assert again.status_code == 409
        assert (await sign_in(client, identifier)).id == owner.id

    async def test_phone_gets_its_code_by_sms(self, client: httpx.AsyncClient, outbox: Outbox):
        number = "+4915112345678"
        await send(client, "+49 151 1234 5678", "sign_up", "sms")
        body = use(number, await outbox.code(number), "sms")
        answer = await client.post(f"{AUTH}/verify", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["user"]["phone"] == number
        assert answer.json()["user"]["phone_verified_at"]

    async def test_owner_of_a_confirmed_account_is_told_by_mail(
        self, client: httpx.AsyncClient, outbox: Outbox
    ):
        identifier = f"{unique('known')}@example.com"
        await send(client, identifier, "sign_up")
        body = use(identifier, await outbox.code(identifier))
        assert (await client.post(f"{AUTH}/verify", json=body)).status_code == 201
        await send(client, identifier, "sign_up")
        assert (await outbox.next(identifier))["kind"] == "account_exists"
        register_again = {"identifier": identifier, "password": PASSWORD}
        answer = await client.post(f"{AUTH}/register", json=register_again)
        assert answer.status_code == 201
        assert (await outbox.next(identifier))["kind"] == "account_exists"

    async def test_channel_must_reach_the_identifier(self, client: httpx.AsyncClient):
        body = {"identifier": "a@example.com", "channel": "sms", "purpose": "sign_up"}
        answer = await client.post(f"{AUTH}/send-one-time-password", json=body)
        assert answer.status_code == 422
        assert answer.json()["code"] == "channel_mismatch"


class TestEnumeration:
    async def test_answers_alike_for_unknown_identifiers(
        self, client: httpx.AsyncClient, member: Caller, outbox: Outbox
    ):
        unknown = f"{unique('nobody')}@example.com"
        for purpose in ("sign_in", "password_reset"):
            known_answer = await send(client, member.identifier, purpose)
            unknown_answer = await send(client, unknown, purpose)
            assert known_answer.json() == unknown_answer.json()
        await outbox.settled()
        assert await outbox.messages(unknown) == []
        answers = [
            await client.post(f"{AUTH}/login-with-otp", json=use(name, "000000"))
            for name in (member.identifier, unknown)
        ]
        codes = {(a.status_code, a.json()["code"], a.json()["detail"]) for a in answers}
        assert len(codes) == 1

    async def test_hourly_limit_is_the_same_for_unknown_identifiers(
        self, client: httpx.AsyncClient, member: Caller
    ):
        for identifier in (member.identifier, f"{unique('nobody')}@example.com"):
            body = {"identifier": identifier, "channel": "email", "purpose": "sign_in"}
            answers = [
                await client.post(f"{AUTH}/send-one-time-password", json=body) for _ in range(7)
            ]
            assert [a.status_code for a in answers] == [200] * 6 + [429]
            assert int(answers[-1].headers["retry-after"]) > 3000

    async def test_availability(self, client: httpx.AsyncClient, member: Caller):
        async def ask(identifier: str) -> object:
            body = {"identifier": identifier}
            return (await client.post(f"{AUTH}/check-user-availability", json=body)).json()

        assert await ask(member.identifier) == {"available": False}
        assert await ask(member.identifier.upper()) == {"available": False}
        assert await ask(f"{unique('free')}@example.com") == {"available": True}


class TestLimits:
    async def test_sending_is_limited_by_identifier_and_by_address(
        self, engines: EngineAddresses, database: str, settings: Settings
    ):
        limits = {"one_time_code": "2/minute"}
        observability = {"log_level": "error"}
        app = create_app(
            engines.settings(
                database, auth=settings.auth, rate_limits=limits, observability=observability
            )
        )

        async def ask(identifier: str, address: str) -> int:
            body = {"identifier": identifier, "channel": "email", "purpose": "sign_in"}
            async with make_client(app, address=address) as client:
                path = f"{AUTH}/send-one-time-password"
                return (await client.post(path, json=body)).status_code

        async with running(app):
            one = f"{unique('limited')}@example.com"
            answers = [await ask(one, f"192.0.2.{n}") for n in range(3)]
            assert answers == [200, 200, 429]
            others = [await ask(f"{unique('o')}@example.com", "192.0.2.77") for _ in range(3)]
            assert others == [200, 200, 429]


class TestLanguage:
    async def test_message_speaks_the_callers_language(
        self, client: httpx.AsyncClient, outbox: Outbox
    ):
        identifier = f"{unique('lang')}@example.com"
        body = {"identifier": identifier, "channel": "email", "purpose": "sign_up"}
        headers = {"Accept-Language": "pt-BR,pt;q=0.9,en;q=0.5"}
        await client.post(f"{AUTH}/send-one-time-password", json=body, headers=headers)
        assert (await outbox.next(identifier))["language"] == "pt"
