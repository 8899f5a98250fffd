"""Refusals for want of rights say what would help, and nothing about what is there."""

import re

import pytest

from tests.data.sql_support import run
from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller, unique


async def hint_of(caller: Caller, method: str, path: str, **options: object) -> str:
    refused = await caller.request(method, path, **options)
    assert (refused.status_code, refused.json()["code"]) == (403, "42501"), refused.text
    return str(refused.json()["hint"])


async def test_a_forgotten_policy_is_hinted_at(admin: Caller, member: Caller):
    table = await create(admin, {"name": "id", "type": "int", "primary_key": True})
    path = f"/rest/v1/{table}"
    hints = {
        await hint_of(member, "GET", path),
        await hint_of(member, "POST", path, json={"id": 1}),
        await hint_of(member, "POST", "/rest/v1/batch", json=[{"op": "select", "table": table}]),
    }
    assert len(hints) == 1
    assert "A policy for the role authenticated" in (hint := hints.pop())
    assert table not in hint


async def test_a_row_that_no_policy_lets_in_is_hinted_at(admin: Caller, member: Caller):
    table = await create(admin, {"name": "id", "type": "int", "primary_key": True})
    policy = {"name": "small", "using": "id < 5"}
    assert (await admin.post(f"{TABLES}/{table}/policies", json=policy)).status_code == 201
    assert "`check`" in await hint_of(member, "POST", f"/rest/v1/{table}", json={"id": 9})


@pytest.mark.parametrize(
    ("sql", "path", "hint"),
    [
        ("create view {n} as select 1 as a", "{n}", "GRANT SELECT on the view to authenticated"),
        ("create function {n}() returns int language sql as 'select 1'", "rpc/{n}", "EXECUTE"),
    ],
)
async def test_what_grants_open_is_hinted_at(
    admin: Caller, member: Caller, sql: str, path: str, hint: str
):
    name = unique("closed")
    await run(admin, sql.format(n=name))
    said = await hint_of(member, "GET", f"/rest/v1/{path.format(n=name)}")
    assert hint in said
    assert not re.search(name, said)


async def test_what_code_raised_is_left_alone(admin: Caller, member: Caller):
    name = unique("raises")
    await run(
        admin,
        f"create function {name}() returns int language plpgsql as"
        " $$ begin raise 'not for you' using errcode = '42501'; end $$;"
        f"grant execute on function {name}() to authenticated",
    )
    assert await hint_of(member, "POST", f"/rest/v1/rpc/{name}", json={}) == "None"
