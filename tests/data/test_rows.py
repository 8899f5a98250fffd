"""The rows API behind the platform's own gate."""

import httpx
from pydantic import SecretStr

from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller, register, sign_in, unique
from tests.fixtures.app import SUPERUSER, make_client, running
from undercroft.app import create_app
from undercroft.foundation.settings import Settings


async def notes_of_their_owners(admin: Caller) -> str:
    name = await create(
        admin,
        {"name": "id", "type": "bigserial", "primary_key": True},
        {"name": "owner", "type": "uuid", "default": "auth.uid()"},
        {"name": "text", "type": "text"},
    )
    policy = {"name": "own", "using": "owner = (select auth.uid())"}
    assert (await admin.post(f"{TABLES}/{name}/policies", json=policy)).status_code == 201
    return f"/rest/v1/{name}"


class TestAccess:
    async def test_nobody_gets_in_before_a_policy(
        self, admin: Caller, member: Caller, service: Caller, api_keys: dict[str, str]
    ):
        path = f"/rest/v1/{await create(admin)}"
        anon = {"apikey": api_keys["anon"]}
        assert (await member.client.get(path)).status_code == 401
        assert (await member.client.get(path, headers=anon)).status_code == 401
        assert (await member.get(path)).status_code == 403
        assert (await service.get(path)).json() == []

    async def test_everyone_sees_their_own(
        self, admin: Caller, member: Caller, outsider: Caller, api_keys: dict[str, str]
    ):
        path = await notes_of_their_owners(admin)
        for caller in (member, outsider):
            for text in ("a", "b"):
                assert (await caller.post(path, json={"text": text})).status_code == 201
        mine = (await member.get(path, params={"order": "id"})).json()
        assert [row["text"] for row in mine] == ["a", "b"]
        assert {row["owner"] for row in mine} == {member.id}
        others = await outsider.get(path, params={"owner": f"eq.{member.id}"})
        assert others.json() == []
        stolen = await outsider.patch(path, params={"owner": f"eq.{member.id}"}, json={"text": "x"})
        assert stolen.status_code == 204
        assert (await member.get(path, params={"text": "eq.x"})).json() == []
        forged = await outsider.post(path, json={"owner": member.id, "text": "x"})
        assert forged.status_code == 403
        anon = {"apikey": api_keys["anon"]}
        assert (await member.client.get(path, headers=anon)).status_code == 401

    async def test_our_schemas_are_not_there(self, service: Caller):
        for path in ("users", "auth.users", "sessions", "pg_class", "idempotency_keys"):
            assert (await service.get(f"/rest/v1/{path}")).status_code == 404
        profile = {"Accept-Profile": "auth"}
        assert (await service.get("/rest/v1/users", headers=profile)).status_code == 406

    async def test_apikey_and_bearer_are_both_checked(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller, api_keys: dict[str, str]
    ):
        path = await notes_of_their_owners(admin)
        both = {"apikey": api_keys["anon"]}
        assert (await member.get(path, headers=both)).status_code == 200
        wrong = {"apikey": member.tokens["access_token"]}
        assert (await client.get(path, headers=wrong)).status_code == 401
        assert (await member.get(path, headers={"apikey": "nonsense"})).status_code == 401


async def test_nobody_is_told_where_a_database_is_that_cannot_be_reached(settings: Settings):
    nowhere = SecretStr("postgresql://visitor@/undercroft?host=/nowhere/at/all")
    database = settings.database.model_copy(update={"visitor_url": nowhere})
    away = settings.model_copy(update={"database": database})
    async with running(create_app(away)) as app, make_client(app) as client:
        admin = await sign_in(client, SUPERUSER)
        name = unique("t")
        table = {"name": name, "columns": [{"name": "id", "type": "bigint", "primary_key": True}]}
        assert (await admin.post("/api/v1/tables", json=table)).status_code == 201
        member = await register(client)
        answer = await member.get(f"/rest/v1/{name}")
    assert (answer.status_code, answer.json()["code"]) == (503, "PGRST000")
    assert "/nowhere" not in answer.text
    assert "visitor" not in answer.text
