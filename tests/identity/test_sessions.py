"""Where people are signed in: their devices, and who may sign others out."""

from uuid import uuid4

import httpx

from tests.fixtures.actors import Caller, make_group, promoted, settled, sign_in, turned_away
from tests.fixtures.app import make_client, running
from tests.fixtures.engines import EngineAddresses
from undercroft.app import create_app
from undercroft.foundation.settings import Settings

API = "/api/v1"


class TestDevices:
    async def test_are_kept_with_their_session(self, client: httpx.AsyncClient, member: Caller):
        body = {"identifier": member.identifier, "password": member.password}
        headers = {"X-Device-Id": "phone-of-ada" + "x" * 300}
        answer = await client.post(f"{API}/auth/login", json=body, headers=headers)
        listed = (await member.get(f"{API}/sessions")).json()["items"]
        ids = {each["id"]: each["device_id"] for each in listed}
        assert ids[answer.json()["session_id"]] == headers["X-Device-Id"][:255]
        assert ids[member.tokens["session_id"]] is None
        assert {each["place"] for each in listed} == {None}

    async def test_are_listed_in_pages(self, client: httpx.AsyncClient, member: Caller):
        for _ in range(2):
            await sign_in(client, member.identifier, member.password)
        first = (await member.get(f"{API}/sessions?limit=2&count=exact")).json()
        assert (len(first["items"]), first["total"]) == (2, 3)
        rest = await member.get(f"{API}/sessions?limit=2&cursor={first['next_cursor']}")
        assert rest.json()["next_cursor"] is None
        seen = {each["id"] for each in first["items"] + rest.json()["items"]}
        assert len(seen) == 3

    async def test_are_where_the_proxy_says(
        self, engines: EngineAddresses, database: str, settings: Settings, member: Caller
    ):
        http = settings.http.model_copy(update={"place_header": "CF-IPCountry"})
        app = create_app(engines.settings(database, http=http))
        body = {"identifier": member.identifier, "password": member.password}
        async with running(app), make_client(app) as client:
            headers = {"CF-IPCountry": "DE"}
            await client.post(f"{API}/auth/login", json=body, headers=headers)
        listed = (await member.get(f"{API}/sessions")).json()["items"]
        assert {each["place"] for each in listed} == {"DE", None}


class TestSessionsOfOthers:
    async def test_are_seen_and_ended_by_who_may(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller, outsider: Caller
    ):
        path = f"{API}/users/{member.id}/sessions"
        for refused in (await outsider.get(path), await outsider.delete(path)):
            assert refused.status_code == 403
        assert (await admin.delete(f"{API}/users/{uuid4()}/sessions")).status_code == 404
        await sign_in(client, member.identifier)
        assert len((await admin.get(path)).json()["items"]) == 2
        assert (await admin.delete(path)).json()["sessions_revoked"] == 2
        assert await turned_away(member)
        await sign_in(client, member.identifier)

    async def test_of_a_superuser_only_by_another(self, admin: Caller, outsider: Caller):
        await promoted(admin, outsider, await make_group(admin, "sessions:terminate"))

        async def refused() -> bool:
            answer = await outsider.delete(f"{API}/users/{admin.id}/sessions")
            return bool(answer.json()["code"] == "above_you")

        assert await settled(refused)
