"""The activity log: what it hears, what it hides, who may read it."""

import csv
import io
import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.fixtures.actors import Caller, make_group, promoted, register, sign_in, unique
from tests.fixtures.app import PASSWORD, make_client, running
from tests.fixtures.lists import check_orders, ids_of
from tests.fixtures.query_counter import QueryCounter
from undercroft.app import Application, create_app
from undercroft.foundation.settings import Settings

API = "/api/v1"
LOG = f"{API}/activity"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)


async def entries(caller: Caller, **wanted: Any) -> list[dict[str, Any]]:
    response = await caller.get(LOG, params={"limit": 100, **wanted})
    assert response.status_code == 200, response.text
    return list(response.json()["items"])


async def entry(caller: Caller, **wanted: Any) -> dict[str, Any]:
    """The one entry that matches."""
    found = await entries(caller, **wanted)
    assert len(found) == 1, [(one["action"], one["target_id"]) for one in found]
    return found[0]


class TestWhatIsWritten:
    async def test_a_sign_in_with_device_address_and_session(
        self, client: httpx.AsyncClient, admin: Caller
    ):
        person = await register(client, "log")
        body = {"identifier": person.identifier, "password": PASSWORD}
        headers = {"User-Agent": CHROME, "X-Request-Id": "a-request-of-mine"}
        signed_in = await client.post(f"{API}/auth/login", json=body, headers=headers)
        found, first = await entries(admin, user_id=person.id, action="user.signed_in")
        assert first["status_code"] == 200  # which is another way through Postgres
        assert found["target_id"] == found["session_id"] == signed_in.json()["session_id"]
        assert (found["actor_type"], found["user_id"]) == ("user", person.id)
        assert found["metadata"]["method"] == "password"
        assert (found["browser"], found["os"]) == ("Chrome", "Windows")
        assert found["address"] == "127.0.0.1"
        assert found["request_id"] == "a-request-of-mine"
        assert (found["method"], found["endpoint"]) == ("POST", f"{API}/auth/login")
        assert found["status_code"] == 200
        assert found["duration_ms"] >= 0
        assert PASSWORD not in json.dumps(found)

    async def test_a_failed_sign_in_in_the_log_of_the_account_that_was_tried(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller
    ):
        body = {"identifier": member.identifier, "password": "Wrong-Horse-42"}
        assert (await client.post(f"{API}/auth/login", json=body)).status_code == 401
        found = await entry(admin, user_id=member.id, action="sign_in.failed")
        assert (found["level"], found["actor_type"]) == ("warn", "anonymous")
        assert (await member.get(f"{LOG}/me")).json()["items"][0]["id"] == found["id"]

    async def test_an_unknown_identifier_is_not_told(
        self, client: httpx.AsyncClient, admin: Caller
    ):
        typed = unique("My-Secret-Password-")
        body = {"identifier": typed, "password": "Wrong-Horse-42"}
        assert (await client.post(f"{API}/auth/login", json=body)).status_code == 401
        found = (await entries(admin, action="sign_in.failed"))[0]
        assert found["user_id"] is None
        assert typed.lower() not in json.dumps(found).lower()

    async def test_a_change_with_what_was_before_and_after(self, admin: Caller, member: Caller):
        change = {"user_type": "business", "first_name": "Ada"}
        await admin.patch(f"{API}/users/{member.id}", json=change)
        found = await entry(admin, target_id=member.id, action="user.updated")
        assert found["user_id"] == admin.id
        assert found["before"] == {"user_type": "customer", "first_name": None}
        assert found["after"] == {"user_type": "business", "first_name": "(personal)"}
        await admin.post(f"{API}/users/{member.id}/deactivate")
        found = await entry(admin, target_id=member.id, action="user_status.changed")
        assert found["before"] == {"status": "unverified"}
        assert found["after"]["status"] == "deactivated"

    async def test_what_a_domain_did_not_announce_is_told_as_a_call(self, admin: Caller):
        table = unique("logged")
        columns = [{"name": "id", "type": "uuid", "primary_key": True}]
        await admin.post(f"{API}/tables", json={"name": table, "columns": columns})
        await admin.delete(f"{API}/tables/{table}")
        found = (await entries(admin, target_id=table))[0]
        assert found["module"] == "tables"
        assert found["endpoint"] == f"{API}/tables/{{table}}"

    async def test_nothing_of_what_was_rolled_back(self, admin: Caller, member: Caller):
        before = len(await entries(admin, user_id=member.id))
        # The group is unknown: the request is refused after its work began.
        refused = await admin.post(f"{API}/users/{member.id}/groups", json={"groups": ["nowhere"]})
        assert refused.status_code == 422
        assert not await entries(admin, target_id=member.id, action="user_groups.changed")
        assert len(await entries(admin, user_id=member.id)) == before

    async def test_each_of_many_at_once(self, admin: Caller, client: httpx.AsyncClient):
        people = [await register(client, "bulk") for _ in range(5)]
        ids = [person.id for person in people]
        body = {"action": "deactivate", "user_ids": ids}
        assert (await admin.post(f"{API}/users/bulk-action", json=body)).status_code == 200
        for user_id in ids:
            assert await entry(admin, target_id=user_id, action="user_status.changed")

    async def test_a_key_by_its_own_name_and_without_its_secret(
        self, admin: Caller, client: httpx.AsyncClient
    ):
        made = (
            await admin.post(
                f"{API}/api-keys",
                json={"name": unique("key"), "permissions": ["groups:create"]},
            )
        ).json()
        program = Caller(client, "program", "", {"access_token": made["key"]})
        codename = unique("bykey")
        created = await program.post(f"{API}/groups", json={"codename": codename, "name": codename})
        assert created.status_code == 201, created.text
        found = await entry(admin, target_id=created.json()["id"], action="group.created")
        assert (found["actor_type"], found["api_key_id"]) == ("api_key", made["id"])
        assert made["key"] not in json.dumps(await entries(admin, target_id=made["id"]))

    async def test_refused_and_unstorable_agents_do_not_break_a_request(self, member: Caller):
        headers = {"User-Agent": b"\xff" * 2000}
        response = await member.post(
            f"{API}/settings/update-theme", json={"theme": "dark"}, headers=headers
        )
        assert response.status_code == 200


# Calls of an administrator, each with the entry it leaves. `{}` is the id that the first answered.
LEAVES: dict[str, list[tuple[str, str, Any, str]]] = {
    "a group's life": [
        ("POST", "/groups", {"codename": "$word", "name": "$word"}, "group.created"),
        ("PUT", "/groups/{}", {"description": "x"}, "group.updated"),
        (
            "POST",
            "/groups/{}/permissions",
            {"permissions": ["users:read"]},
            "group_permissions.changed",
        ),
        ("DELETE", "/groups/{}", None, "group.deleted"),
    ],
    "a permission's life": [
        ("POST", "/permissions", {"codename": "$word:read", "name": "$word"}, "permission.created"),
        ("PUT", "/permissions/{}", {"description": "x"}, "permission.updated"),
        ("DELETE", "/permissions/{}", None, "permission.deleted"),
    ],
    "an organization's life": [
        ("POST", "/organizations", {"name": "$word"}, "organization.created"),
        ("PATCH", "/organizations/{}", {"name": "x"}, "organization.updated"),
        ("DELETE", "/organizations/{}", None, "organization.deleted"),
    ],
    "a feature's life": [
        ("POST", "/features", {"name": "$word"}, "feature.created"),
        ("PATCH", "/features/{}", {"description": "x"}, "feature.updated"),
        ("DELETE", "/features/{}", None, "feature.deleted"),
    ],
    "an account's life": [
        (
            "POST",
            "/users",
            {"identifier": "$word@example.com", "password": PASSWORD},
            "user.created",
        ),
        ("PATCH", "/users/{}/username", {"username": "$word"}, "user.updated"),
        ("PATCH", "/users/{}/password", {"new_password": f"{PASSWORD}-new"}, "password.changed"),
        ("POST", "/users/{}/groups", {"groups": ["user", "vendor"]}, "user_groups.changed"),
        ("DELETE", "/users/{}/factors", None, "factors.reset"),
        ("POST", "/users/{}/deactivate", None, "user_status.changed"),
        ("DELETE", "/users/{}", None, "user_status.changed"),
    ],
    "a key's life": [
        ("POST", "/api-keys", {"name": "$word", "permissions": []}, "api_key.created"),
        ("DELETE", "/api-keys/{}", None, "api_key.revoked"),
    ],
}


class TestEveryChange:
    @pytest.mark.parametrize("story", LEAVES)
    async def test_leaves_its_entry(self, admin: Caller, story: str):
        word, subject = unique("audit"), ""
        for method, path, body, action in LEAVES[story]:
            filled = json.loads(json.dumps(body).replace("$word", word))
            options = {"json": filled} if body else {}
            response = await admin.request(method, API + path.format(subject), **options)
            assert response.status_code < 300, response.text
            subject = subject or response.json()["id"]
            about = subject if not action.startswith("permission.") else f"{word}:read"
            found = (await entries(admin, target_id=about, action=action))[0]
            assert (found["level"], found["user_id"]) == ("audit", admin.id)
            assert found["status_code"] == response.status_code
            assert PASSWORD not in json.dumps(found)


class TestRefusals:
    async def test_a_denied_door_is_written_once_and_then_counted(
        self, app: Application, admin: Caller, outsider: Caller
    ):
        for _ in range(30):
            assert (await outsider.get(f"{API}/users")).status_code == 403
        found = await entry(admin, user_id=outsider.id, action="access.refused")
        assert found["level"] == "warn"
        assert found["endpoint"] == f"{API}/users"
        assert found["metadata"]["code"] == "missing_permission"
        await app.control.state.refusals.flush(all_of_them=True)
        told, first = await entries(admin, user_id=outsider.id, action="access.refused")
        assert (told["metadata"]["times"], first["metadata"]["times"]) == (29, 1)

    async def test_a_flood_of_callers_is_bounded(self, settings: Settings, admin: Caller):
        headers = {"Authorization": "Bearer nonsense"}
        async with running(create_app(settings)) as app:
            app.control.state.refusals.most_per_second = 2
            for number in range(80):
                async with make_client(app, address=f"203.0.113.{number}") as client:
                    await client.get(f"{API}/groups/{uuid4()}", headers=headers)
            written = len(await self._from_test_net(admin))
            assert 0 < written < 80
        # At its end the process tells what it only counted.
        assert len(await self._from_test_net(admin)) == 80

    async def _from_test_net(self, admin: Caller) -> list[dict[str, Any]]:
        found = await entries(admin, action="access.refused")
        return [one for one in found if (one["address"] or "").startswith("203.0.113.")]

    async def test_a_visitor_without_credentials_is_not_worth_an_entry(
        self, app: Application, admin: Caller
    ):
        async with make_client(app, address="198.51.100.7") as visitor:
            assert (await visitor.get(f"{API}/users/me")).status_code == 401
        assert not await entries(admin, address="198.51.100.7")

    async def test_refused_rows_are_told_too(
        self, app: Application, client: httpx.AsyncClient, admin: Caller
    ):
        bad = await client.get("/rest/v1/anything", headers={"Authorization": "Bearer nonsense"})
        assert bad.status_code == 401
        await app.control.state.refusals.flush(all_of_them=True)
        assert any(found["module"] == "rows" for found in await entries(admin, level="warn"))


class TestReading:
    async def test_filters(self, admin: Caller, member: Caller):
        await member.post(f"{API}/settings/update-theme", json={"theme": "dark"})
        found = await entry(admin, user_id=member.id, module="users", action="user.updated")
        assert (await admin.get(f"{LOG}/{found['id']}")).json() == found
        assert not await entries(admin, user_id=member.id, level="error")
        earlier = await entries(admin, user_id=member.id, until=found["created_at"])
        assert found["id"] not in {one["id"] for one in earlier}
        assert await entries(admin, user_id=member.id, since=found["created_at"])
        assert not await entries(admin, address="2001:db8::77")

    async def test_order_and_search(self, admin: Caller, member: Caller):
        body = {"level": "debug", "message": "Tuned 100% of the Engine", "action": "engine.tuned"}
        added = await admin.post(LOG, json=body)
        assert added.status_code == 201, added.text
        for theme in ("dark", "light"):
            await member.post(f"{API}/settings/update-theme", json={"theme": theme})
        names = ("created_at", "level", "action", "module")
        await check_orders(admin, LOG, names, user_id=member.id)
        by_me = {"user_id": admin.id}
        assert added.json()["id"] in await ids_of(admin, LOG, search="100% of the eng", **by_me)
        assert added.json()["id"] in await ids_of(admin, LOG, search="ENGINE.tuned", **by_me)
        assert await ids_of(admin, LOG, search="100_ of the eng", **by_me) == []

    async def test_pages_without_repeats(self, admin: Caller, member: Caller):
        for theme in ("dark", "light", "dark"):
            await member.post(f"{API}/settings/update-theme", json={"theme": theme})
        params: dict[str, Any] = {"user_id": member.id, "limit": 2, "count": "exact"}
        seen: list[str] = []
        while True:
            page = (await admin.get(LOG, params=params)).json()
            seen += [found["id"] for found in page["items"]]
            if not page["next_cursor"]:
                break
            params["cursor"] = page["next_cursor"]
        assert len(seen) == len(set(seen)) == page["total"] >= 4

    @pytest.mark.parametrize(
        ("params", "code"),
        [
            ({"since": "2001-01-01"}, "window_too_wide"),
            ({"since": "2001-01-01", "level": "warn"}, "window_too_wide"),
            ({"since": "2026-01-02", "until": "2026-01-01"}, "window_empty"),
            ({"until": "0001-01-01"}, "window_empty"),
            ({"action": "a\x00b"}, "text_not_storable"),
        ],
    )
    async def test_a_question_without_an_answer_is_refused(
        self, admin: Caller, params: dict[str, str], code: str
    ):
        for path in (LOG, f"{LOG}/statistics", f"{LOG}/export"):
            response = await admin.get(path, params=params)
            assert (response.status_code, response.json()["code"]) == (422, code)

    async def test_somebodys_id_makes_it_cheap(self, admin: Caller, member: Caller):
        assert await entries(admin, since="2001-01-01", user_id=member.id)

    async def test_of_one_person(self, admin: Caller, member: Caller):
        found = (await admin.get(f"{API}/users/{member.id}/activity")).json()["items"]
        assert {one["user_id"] for one in found} == {member.id}

    async def test_what_is_no_id_is_not_there(self, admin: Caller):
        for unknown in (uuid4(), UUID(int=0)):
            assert (await admin.get(f"{LOG}/{unknown}")).status_code == 404

    async def test_statistics(self, admin: Caller, member: Caller):
        await member.post(f"{API}/settings/update-theme", json={"theme": "dark"})
        body = (await admin.get(f"{LOG}/statistics", params={"user_id": member.id})).json()
        assert body["total"] == sum(line["count"] for line in body["by_level"])
        assert {"value": "user.signed_in", "count": 1} in body["by_action"]
        assert {line["value"] for line in body["by_module"]} >= {"auth", "users"}

    async def test_a_page_costs_the_same_however_long(
        self, admin: Caller, query_counter: QueryCounter
    ):
        await admin.get(LOG)
        with query_counter() as count:
            await admin.get(LOG, params={"limit": 100})
        assert len(count) <= 2


class TestExport:
    async def test_as_lines_of_json(self, admin: Caller, member: Caller):
        response = await admin.get(f"{LOG}/export", params={"format": "ndjson"})
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in response.text.splitlines()]
        assert lines == sorted(lines, key=lambda line: line["id"])
        assert member.id in {line["user_id"] for line in lines}
        assert await entries(admin, action="activity.exported")

    async def test_as_a_table_whose_cells_are_no_formulas(self, admin: Caller):
        poison = '=HYPERLINK("http://evil.example","click")'
        made = await admin.post(
            LOG, json={"message": poison, "target_type": "x", "target_id": "@SUM(1)"}
        )
        assert made.status_code == 201, made.text
        params = {"format": "csv", "target_id": "@SUM(1)"}
        response = await admin.get(f"{LOG}/export", params=params)
        row = next(csv.DictReader(io.StringIO(response.text)))
        assert row["message"] == f"'{poison}"
        assert row["target_id"] == "'@SUM(1)"


class TestByHand:
    async def test_an_application_adds_its_own(self, admin: Caller):
        body = {
            "message": "Stock counted",
            "action": "stock.counted",
            "module": "shop",
            "level": "info",
            "target_type": "warehouse",
            "target_id": unique("w"),
            "metadata": {"items": 3, "api_password": "hunter2", "nested": {"token": "t"}},
            "duration_ms": 12,
        }
        made = await admin.post(LOG, json=body)
        assert made.status_code == 201, made.text
        found = made.json()
        assert found["user_id"] == admin.id
        assert found["metadata"] == {
            "items": 3,
            "api_password": "(secret)",
            "nested": {"token": "(secret)"},
        }
        assert found["duration_ms"] == 12
        assert (await entry(admin, target_id=body["target_id"])) == found

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"message": ""},
            {"message": "x", "level": "shout"},
            {"message": "x", "action": "Robert'); DROP TABLE"},
            {"message": "x", "user_id": str(uuid4())},
            {"message": "x", "metadata": {"a": "x" * 20_000}},
            {"message": "x" * 1001},
            {"message": "x", "status_code": 99_999},
        ],
    )
    async def test_bad_input(self, admin: Caller, body: dict[str, Any]):
        assert (await admin.post(LOG, json=body)).status_code == 422

    async def test_nul_characters_are_replaced(self, admin: Caller):
        body = {"message": "a\x00b", "metadata": {"\x00": "\x00"}}
        made = await admin.post(LOG, json=body)
        assert made.status_code == 201
        assert made.json()["message"] == "a\ufffdb"

    async def test_half_a_surrogate_pair_is_replaced(self, admin: Caller):
        content = rb'{"message": "x", "metadata": {"\ud800": "\udfff"}}'
        headers = {"Content-Type": "application/json"}
        made = await admin.post(LOG, content=content, headers=headers)
        assert made.status_code in {201, 422}

    async def test_needs_the_permission(self, admin: Caller, member: Caller):
        assert (await member.post(LOG, json={"message": "x"})).status_code == 403
        await promoted(admin, member, await make_group(admin, "activity:create"))
        again = await sign_in(member.client, member.identifier)
        assert (await again.post(LOG, json={"message": "x"})).status_code == 201
        assert (await again.get(LOG)).status_code == 403


class TestAppendOnly:
    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE operations.activity SET message = 'nothing'",
            "DELETE FROM operations.activity",
            "TRUNCATE operations.activity",
            "TRUNCATE operations.activity_default",
            "TRUNCATE operations.activity_seals",
        ],
    )
    async def test_entries_are_never_changed(self, app: Application, statement: str):
        async with app.parts.database.unit_of_work() as session:
            with pytest.raises(DBAPIError, match="append-only"):
                await session.execute(text(statement))
            await session.rollback()

    async def test_the_apis_roles_do_not_see_it(self, service: Caller):
        for table in ("activity", "activity_seals", "activity_unsealed"):
            headers = {"Accept-Profile": "operations"}
            response = await service.get(f"/rest/v1/{table}", headers=headers)
            assert response.status_code in {404, 406}, response.text
