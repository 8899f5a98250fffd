"""What requests may cost in queries: lists at most three, a known caller's rights none."""

from collections.abc import Iterator

import httpx
import pytest

from tests.fixtures.actors import (
    PASSWORD,
    Caller,
    make_group,
    promoted,
    register,
    settled,
    unique,
)
from tests.fixtures.query_counter import QueryCounter
from tests.fixtures.routes import Entry, entries
from undercroft.app import Application

API = "/api/v1"
MOST = 3


def lists_of_identity(app: Application) -> Iterator[Entry]:
    """Every GET of identity that answers with a list or a page."""
    paths = app.control.openapi()["paths"]
    for path, operations in paths.items():
        operation = operations.get("get", {})
        if operation.get("tags") != ["identity"]:
            continue
        answer = operation["responses"].get("200", {})
        content = answer.get("content", {}).get("application/json", {})
        schema = content.get("schema", {})
        if schema.get("type") == "array" or "Page_" in schema.get("$ref", ""):
            yield next(e for e in entries(app) if e.method == "GET" and e.path == path)


@pytest.fixture
async def organization(admin: Caller) -> str:
    made = await admin.post(f"{API}/organizations", json={"name": "Budgets"})
    return str(made.json()["id"])


async def test_lists_take_three_queries_however_long(
    app: Application, admin: Caller, organization: str, query_counter: QueryCounter
):
    crowd = [await register(admin.client, "crowd") for _ in range(3)]
    for person in crowd:
        body = {"user_id": person.id, "role": "member"}
        await admin.post(f"{API}/organizations/{organization}/members", json=body)
    groups = (await admin.get(f"{API}/groups")).json()["items"]
    known = {"organization_id": organization, "user_id": crowd[0].id, "group_id": groups[0]["id"]}
    checked = []
    for entry in lists_of_identity(app):
        for query in ("", "?limit=2&count=exact", "?search=cr"):
            with query_counter() as count:
                answer = await admin.get(entry.at(**known) + query)
            assert answer.status_code in {200, 422}, (entry.path, answer.text)
            assert len(count) <= MOST, (entry.path, query, count.statements)
        checked.append(entry.path)
    assert len(checked) >= 10, checked


async def test_a_known_callers_rights_cost_no_query_yet_follow_every_change(
    admin: Caller, member: Caller, query_counter: QueryCounter
):
    path = f"{API}/users?limit=1"
    assert (await member.get(path)).status_code == 403
    with query_counter() as count:
        assert (await member.get(path)).status_code == 403
    assert count.statements == []
    codename = await make_group(admin, "users:read")
    await promoted(admin, member, codename)

    async def may() -> bool:
        return (await member.get(path)).status_code == 200

    async def may_not() -> bool:
        return (await member.get(path)).status_code == 403

    assert await settled(may)
    with query_counter() as count:
        assert (await member.get(path)).status_code == 200
    assert [s for s in count.statements if "auth.group" in s or "auth.sessions" in s] == []
    # Through the group, then through the membership.
    groups = (await admin.get(f"{API}/groups?limit=100")).json()["items"]
    group_id = next(group["id"] for group in groups if group["codename"] == codename)
    await admin.post(f"{API}/groups/{group_id}/permissions", json={"permissions": []})
    assert await settled(may_not)
    body = {"permissions": ["users:read"]}
    await admin.post(f"{API}/groups/{group_id}/permissions", json=body)
    assert await settled(may)
    await promoted(admin, member)
    assert await settled(may_not)


@pytest.mark.parametrize("identifier", ["{}@example.com", "{}"])
async def test_a_taken_identifier_costs_what_a_free_one_costs(
    client: httpx.AsyncClient, query_counter: QueryCounter, identifier: str
):
    body = {"identifier": identifier.format(unique("twin")), "password": PASSWORD}
    asked = []
    for _ in range(2):
        with query_counter() as count:
            answer = await client.post(f"{API}/auth/register", json=body)
        assert answer.status_code == 201
        asked.append([statement.split(None, 4)[:4] for statement in count.statements])
    assert asked[0] == asked[1]
