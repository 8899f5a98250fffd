"""Another e-mail address or phone number: first a code to it, then the change."""

import asyncio
import random

import httpx
import pytest
from sqlalchemy import text

from tests.fixtures.actors import Caller, register, settled, sign_in, turned_away, unique
from tests.fixtures.app import PASSWORD
from tests.fixtures.outbox import Outbox
from undercroft.app import Application
from undercroft.identity.auth.gate import Credentials

API = "/api/v1"
SETTINGS = f"{API}/settings"


def new_address(word: str = "new") -> str:
    return f"{unique(word)}@example.com"


def new_number() -> str:
    return f"+49151{random.randint(10_000_000, 99_999_999)}"


async def ask(caller: Caller, email: str) -> httpx.Response:
    return await caller.post(f"{SETTINGS}/change-email/request", json={"new_email": email})


async def change(caller: Caller, email: str, otp: str) -> httpx.Response:
    body = {"new_email": email, "otp": otp}
    return await caller.post(f"{SETTINGS}/change-email", json=body)


async def changed(caller: Caller, outbox: Outbox, email: str) -> httpx.Response:
    assert (await ask(caller, email)).status_code == 200
    return await change(caller, email, await outbox.code(email))


async def confirmed(client: httpx.AsyncClient, outbox: Outbox, word: str) -> Caller:
    """Somebody whose address is verified."""
    address = new_address(word)
    body = {"identifier": address, "channel": "email", "purpose": "sign_up"}
    await client.post(f"{API}/auth/send-one-time-password", json=body)
    use = {"identifier": address, "channel": "email", "otp": await outbox.code(address)}
    made = await client.post(f"{API}/auth/verify", json=use)
    assert made.status_code == 201, made.text
    return Caller(client, address, "", made.json())


class TestEmail:
    async def test_is_changed_by_the_code_and_verified(
        self, client: httpx.AsyncClient, member: Caller, outbox: Outbox
    ):
        email = new_address()
        assert (await ask(member, email.upper())).status_code == 200
        answer = await change(member, email, await outbox.code(email))
        assert answer.status_code == 200, answer.text
        read = answer.json()
        assert (read["email"], read["status"]) == (email, "active")
        assert read["email_verified_at"]
        await sign_in(client, email)
        old = {"identifier": member.identifier, "password": PASSWORD}
        assert (await client.post(f"{API}/auth/login", json=old)).status_code == 401

    async def test_tells_the_old_address_when_it_was_verified(
        self, client: httpx.AsyncClient, outbox: Outbox
    ):
        person = await confirmed(client, outbox, "told")
        assert (await changed(person, outbox, new_address())).status_code == 200
        notice = await outbox.next(person.identifier, "contact_changed")
        assert notice["kind"] == "contact_changed"

    async def test_ends_other_sessions_and_what_was_sent_before(
        self, client: httpx.AsyncClient, member: Caller, outbox: Outbox
    ):
        other = await sign_in(client, member.identifier)
        body = {"identifier": member.identifier}
        await client.post(f"{API}/auth/password-reset/request", json=body)
        link = (await outbox.next(member.identifier, "password_reset"))["link"]
        assert (await changed(member, outbox, new_address())).status_code == 200
        assert await turned_away(other)
        assert (await member.get(f"{API}/users/me")).status_code == 200
        token = link.partition("token=")[2]
        reset = {"token": token, "new_password": "Brand-New-Pass-77"}
        answer = await client.post(f"{API}/auth/password-reset/confirm", json=reset)
        assert answer.json()["code"] == "link_invalid"

    async def test_policies_see_the_new_address_at_the_next_request(
        self, app: Application, member: Caller, outbox: Outbox
    ):
        email = new_address()
        assert (await changed(member, outbox, email)).status_code == 200
        gate = app.control.state.identity.gate

        async def seen() -> bool:
            actor = await gate.admit(Credentials(member.tokens["access_token"]))
            return email in actor.claims and member.identifier not in actor.claims

        assert await settled(seen)

    async def test_a_code_of_somebody_else_changes_nothing(
        self, member: Caller, outsider: Caller, outbox: Outbox
    ):
        email = new_address()
        await ask(outsider, email)
        code = await outbox.code(email)
        assert (await change(member, email, code)).json()["code"] == "code_invalid"
        assert (await change(outsider, email, code)).status_code == 200

    async def test_a_code_for_another_purpose_changes_nothing(
        self, client: httpx.AsyncClient, member: Caller, outbox: Outbox
    ):
        email = new_address()
        body = {"identifier": email, "channel": "email", "purpose": "sign_up"}
        await client.post(f"{API}/auth/send-one-time-password", json=body)
        answer = await change(member, email, await outbox.code(email))
        assert answer.json()["code"] == "code_invalid"

    async def test_an_old_session_must_prove_itself_first(self, app: Application, member: Caller):
        async with app.parts.database.unit_of_work() as session:
            await session.execute(
                text("UPDATE auth.sessions SET amr = :amr WHERE user_id = :id"),
                {"amr": '[{"method": "password", "timestamp": 1}]', "id": member.id},
            )
        fresh = await member.post(
            f"{API}/auth/refresh", json={"refresh_token": member.tokens["refresh_token"]}
        )
        member.tokens = fresh.json()
        answer = await ask(member, new_address())
        assert (answer.status_code, answer.json()["code"]) == (403, "step_up_required")

    @pytest.mark.parametrize("wrong", ["nobody", "a@", "x" * 400 + "@example.com", "+491511"])
    async def test_refuses_what_is_no_address(self, member: Caller, wrong: str):
        assert (await ask(member, wrong)).status_code == 422


class TestTaken:
    async def test_only_who_reads_the_address_learns_that_it_is_taken(
        self, client: httpx.AsyncClient, member: Caller, outbox: Outbox
    ):
        owner = await confirmed(client, outbox, "owner")
        free = await ask(member, new_address())
        taken = await ask(member, owner.identifier)
        assert (free.status_code, free.json()) == (taken.status_code, taken.json())
        wrong = await change(member, owner.identifier, "000000")
        assert wrong.json()["code"] == "code_invalid"
        right = await change(member, owner.identifier, await outbox.code(owner.identifier))
        assert (right.status_code, right.json()["code"]) == (409, "identifier_taken")
        assert (await owner.get(f"{API}/users/me")).json()["email"] == owner.identifier

    async def test_an_address_that_nobody_confirmed_goes_to_who_reads_it(
        self, client: httpx.AsyncClient, member: Caller, outsider: Caller, outbox: Outbox
    ):
        await outbox.code(member.identifier)  # the one of the registration
        answer = await changed(outsider, outbox, member.identifier)
        assert (answer.status_code, answer.json()["email"]) == (200, member.identifier)
        assert await turned_away(member)
        mine = await sign_in(client, member.identifier)
        assert mine.id == outsider.id

    async def test_of_twenty_who_read_it_one_gets_it(
        self, client: httpx.AsyncClient, outbox: Outbox
    ):
        email = new_address("wanted")
        people = [await register(client, "wants") for _ in range(5)]
        codes = []
        for person in people:
            assert (await ask(person, email)).status_code == 200
            codes.append(await outbox.code(email))
        tries = [(p, c) for p, c in zip(people, codes, strict=True) for _ in range(4)]
        answers = await asyncio.gather(*(change(p, email, c) for p, c in tries))
        outcomes = sorted((a.status_code, a.json().get("code")) for a in answers)
        assert [status for status, _ in outcomes].count(200) == 1
        assert {code for status, code in outcomes if status != 200} <= {
            "code_invalid",
            "identifier_taken",
        }

    async def test_two_who_want_each_others_address_do_not_hang(
        self, member: Caller, outsider: Caller, outbox: Outbox
    ):
        for person in (member, outsider):
            await outbox.code(person.identifier)  # the one of the registration
        await ask(member, outsider.identifier)
        mine = await outbox.code(outsider.identifier)
        await ask(outsider, member.identifier)
        theirs = await outbox.code(member.identifier)
        answers = await asyncio.gather(
            change(member, outsider.identifier, mine), change(outsider, member.identifier, theirs)
        )
        assert all(answer.status_code in {200, 401, 404, 409} for answer in answers), answers
        assert 200 in {answer.status_code for answer in answers}


class TestPhone:
    @pytest.mark.parametrize("path", ["change-phone/request", "send-phone-otp"])
    async def test_is_changed_by_a_code_over_sms_or_whatsapp(
        self, member: Caller, outbox: Outbox, path: str
    ):
        for channel in ("sms", "whatsapp"):
            number = new_number()
            body = {"new_phone": number, "channel": channel}
            assert (await member.post(f"{SETTINGS}/{path}", json=body)).status_code == 200
            body["otp"] = await outbox.code(number)
            answer = await member.post(f"{SETTINGS}/change-phone", json=body)
            assert answer.status_code == 200, answer.text
            assert answer.json()["phone"] == number
            assert answer.json()["phone_verified_at"]
        assert answer.json()["email"] == member.identifier

    async def test_refuses_what_is_no_number(self, member: Caller):
        for wrong in ("123", "+49", "ada@example.com", "+1" * 40):
            body = {"new_phone": wrong}
            answer = await member.post(f"{SETTINGS}/change-phone/request", json=body)
            assert answer.status_code == 422
