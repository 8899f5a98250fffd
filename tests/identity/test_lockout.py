"""The pause after failed sign-ins."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx

from tests.fixtures.actors import Caller, make_group, promoted, settled, sign_in, unique
from tests.fixtures.app import make_client, running
from undercroft.app import Application, create_app
from undercroft.foundation.settings import Settings

API = "/api/v1"


class TestSignInAttempts:
    async def test_are_seen_and_forgotten_by_who_may(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller, outsider: Caller
    ):
        path = f"{API}/users/{member.id}/sign-in-attempts"
        assert (await admin.get(path)).json()["items"] == []
        login, right = f"{API}/auth/login", {"identifier": member.identifier}
        for _ in range(5):
            wrong = await client.post(login, json=right | {"password": "Wrong-Horse-0000"})
            assert wrong.status_code == 401
        locked = await client.post(login, json=right | {"password": member.password})
        assert locked.status_code == 429
        (seen,) = (await admin.get(path)).json()["items"]
        assert seen["failures"] == 5
        assert seen["locked_until"] > seen["last_failed_at"]
        for refused in (await outsider.get(path), await outsider.delete(path)):
            assert refused.status_code == 403
        assert (await admin.delete(path)).json() == {"deleted": 1}
        assert (await admin.get(path)).json()["items"] == []
        await sign_in(client, member.identifier, member.password)

    async def test_of_nobody_are_not_found(self, admin: Caller):
        path = f"{API}/users/{uuid4()}/sign-in-attempts"
        assert (await admin.get(path)).status_code == 404
        assert (await admin.delete(path)).status_code == 404

    async def test_of_a_superuser_are_forgotten_by_another_only(
        self, admin: Caller, outsider: Caller
    ):
        await promoted(admin, outsider, await make_group(admin, "sign_in_attempts:delete"))

        async def refused() -> bool:
            answer = await outsider.delete(f"{API}/users/{admin.id}/sign-in-attempts")
            return bool(answer.json()["code"] == "above_you")

        assert await settled(refused)


async def fail(client: httpx.AsyncClient, *spellings: str) -> list[int]:
    """Statuses of a wrong password for each spelling."""
    path, wrong = f"{API}/auth/login", "Wrong-Horse-0000"
    answers = [
        await client.post(path, json={"identifier": spelling, "password": wrong})
        for spelling in spellings
    ]
    return [answer.status_code for answer in answers]


class TestPause:
    async def test_is_of_the_identifier_however_it_is_spelt(
        self, client: httpx.AsyncClient, member: Caller
    ):
        name = member.identifier
        spelt = (name, f" {name}", f"{name}\t", name.upper(), name.replace("com", "COM"))
        assert await fail(client, *spelt) == [401] * 5
        assert await fail(client, f"   {name}") == [429]

    async def test_is_of_the_number_however_it_is_grouped(self, client: httpx.AsyncClient):
        number = f"151{uuid4().int % 10**8:08}"
        spelt = [
            f"+49{number}",
            f"+49 {number}",
            f"+49-{number}",
            f"+49 (0){number}",
            f"+49.{number}",
        ]
        assert await fail(client, *spelt) == [401] * 5
        assert await fail(client, f"+49/{number}") == [429]

    async def test_of_a_house_is_one_whatever_address_of_it_asks(
        self, app: Application, member: Caller
    ):
        for n in range(5):
            async with make_client(app, address=f"2001:db8:1:2::{n}") as client:
                assert await fail(client, member.identifier) == [401]
        async with make_client(app, address="2001:db8:1:2:ffff::1") as client:
            assert await fail(client, member.identifier) == [429]
        async with make_client(app, address="2001:db8:1:3::1") as client:
            assert await fail(client, member.identifier) == [401]

    async def test_says_how_long_and_how_many(self, client: httpx.AsyncClient):
        body = {"identifier": unique("nobody"), "password": "Wrong-Horse-0000"}
        for _ in range(5):
            await client.post(f"{API}/auth/login", json=body)
        paused = await client.post(f"{API}/auth/login", json=body)
        assert paused.json()["code"] == "sign_in_locked"
        assert paused.headers["ratelimit-limit"] == "5"
        assert paused.headers["ratelimit-remaining"] == "0"
        assert 0 < int(paused.headers["ratelimit-reset"]) <= 300
        assert paused.headers["retry-after"] == paused.headers["ratelimit-reset"]


async def crowd(
    identifier: str, passwords: list[str], *clients: httpx.AsyncClient
) -> list[httpx.Response]:
    """Answers to all passwords at the same moment, tried with the clients by turns."""
    tries = (
        clients[n % len(clients)].post(
            f"{API}/auth/login", json={"identifier": identifier, "password": password}
        )
        for n, password in enumerate(passwords)
    )
    return await asyncio.gather(*tries)


def counted(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def wrong(count: int) -> list[str]:
    return [f"Wrong-Horse-{n:04}" for n in range(count)]


class TestCrowd:
    async def test_has_no_more_tries_than_who_comes_alone(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller
    ):
        answers = await crowd(member.identifier, wrong(50), client)
        assert counted(answers) == {401: 5, 429: 45}
        assert {a.json()["code"] for a in answers} == {"invalid_credentials", "sign_in_locked"}
        # The first pause, as seen by who asked a little before it began; the second is 600 seconds.
        assert max(int(a.headers.get("retry-after", "0")) for a in answers) <= 360
        seen = (await admin.get(f"{API}/users/{member.id}/sign-in-attempts")).json()["items"]
        assert [each["failures"] for each in seen] == [5]

    async def test_has_the_same_for_an_account_that_is_not_there(self, client: httpx.AsyncClient):
        assert counted(await crowd(unique("nobody"), wrong(20), client)) == {401: 5, 429: 15}

    async def test_has_no_more_of_several_processes(self, settings: Settings, member: Caller):
        async with running(create_app(settings)) as other, make_client(other) as there:
            answers = await crowd(member.identifier, wrong(30), member.client, there)
        assert counted(answers) == {401: 5, 429: 25}

    async def test_does_not_find_the_right_one_behind_wrong_ones(
        self, client: httpx.AsyncClient, member: Caller
    ):
        answers = await crowd(member.identifier, [*wrong(40), member.password], client)
        assert answers[-1].status_code == 429

    async def test_of_one_wrong_password_is_paused_alike(
        self, client: httpx.AsyncClient, member: Caller
    ):
        answers = await crowd(member.identifier, wrong(1) * 20, client)
        assert counted(answers) == {401: 5, 429: 15}

    async def test_of_who_knows_it_gets_in(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller
    ):
        passwords = [*wrong(4), *[member.password] * 30]
        assert counted(await crowd(member.identifier, passwords, client)) == {401: 4, 200: 30}
        await sign_in(client, member.identifier, member.password)  # after the last wrong one
        seen = await admin.get(f"{API}/users/{member.id}/sign-in-attempts")
        assert seen.json()["items"] == []

    async def test_with_a_stolen_session_has_no_more_either(self, member: Caller):
        path, new = f"{API}/auth/change-password", "Another-Pass-43"
        bodies = [{"current_password": each, "new_password": new} for each in wrong(20)]
        answers = await asyncio.gather(*(member.post(path, json=body) for body in bodies))
        assert counted(answers) == {403: 5, 429: 15}
