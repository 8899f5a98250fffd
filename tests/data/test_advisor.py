"""The advisor: each finding, and that its fix makes it go away."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, make_group, promoted, unique
from tests.fixtures.engines import EngineAddresses
from undercroft.data.schema.advisor.service import RULES

REFERENCE = Path(__file__).parents[2] / "docs/reference/advisor.md"
ADVISOR = "/api/v1/advisor"
# Each in a schema of its own, `s`, which the API's roles may use.
CASES: dict[str, tuple[str, str]] = {
    "row_security_off": (
        (
            "create table s.t (id int primary key);"
            " alter table s.t disable row level security; grant select on s.t to anon"
        ),
        "s.t",
    ),
    "no_policy": ("create table s.t (id int primary key)", "s.t"),
    "policy_always_true": (
        "create table s.t (id int primary key); create policy p on s.t using (true)",
        "s.t p",
    ),
    "policy_reads_itself": (
        (
            "create table s.o (t int primary key); create table s.t (id int primary key);"
            " create policy back on s.o for select using (t in (select id from s.t));"
            " create policy open on s.t for select using (true);"
            " create policy p on s.t to authenticated using (id in (select t from s.o))"
        ),
        "s.t p",
    ),
    "view_past_row_security": (
        (
            "create table s.t (id int primary key); create view s.v as select * from s.t;"
            " grant select on s.v to authenticated"
        ),
        "s.v",
    ),
    "materialized_view_exposed": (
        "create materialized view s.v as select 1 as id; grant select on s.v to anon",
        "s.v",
    ),
    "secret_exposed": (
        (
            "create table s.t (id int primary key, password_hash text, note text);"
            " create policy p on s.t for select using (true)"
        ),
        "s.t password_hash",
    ),
    "definer_search_path": (
        (
            "create function s.f(a int) returns int language sql security definer"
            " as 'select 1'; revoke execute on function s.f(int) from public"
        ),
        "s.f(a integer)",
    ),
    "definer_callable_by_anon": (
        (
            "create function s.f(a int) returns int language sql security definer"
            " set search_path = '' as 'select 1'; grant execute on function s.f(int) to public"
        ),
        "s.f(a integer)",
    ),
    "function_open_to_everybody": (
        (
            "create function s.f(a int) returns int language sql as 'select 1';"
            "grant execute on function s.f(int) to public"
        ),
        "s.f(a integer)",
    ),
    "foreign_key_without_index": (
        (
            "create table s.p (id int primary key);"
            ' create table s.t (id int primary key, "p id" int constraint k references s.p)'
        ),
        "s.t k",
    ),
    "duplicate_index": (
        (
            "create table s.t (id int primary key, a int);"
            " create index one on s.t (a); create index two on s.t (a)"
        ),
        "s.two",
    ),
    "index_behind_policy": (
        (
            "create table s.t (id int primary key, owner uuid, price numeric);"
            " create index on s.t (owner); create index priced on s.t (price);"
            " create policy p on s.t for select using (owner = (select auth.uid()))"
        ),
        "s.priced",
    ),
    "unused_index": (
        (
            "create table s.t (id int primary key, a text);"
            " insert into s.t select n, repeat('x', 50) || n from generate_series(1, 15000) n;"
            " create index one on s.t (a); analyze s.t"
        ),
        "s.one",
    ),
    "no_primary_key": ("create table s.t (id int)", "s.t"),
    "sequence_near_end": (
        "create table s.t (id serial primary key); select setval('s.t_id_seq', 2000000000)",
        "s.t id",
    ),
    "policy_calls_per_row": (
        (
            "create table s.t (id int primary key, owner uuid);"
            " create index on s.t (owner);"
            " create policy p on s.t using (owner = auth.uid() and auth.has('a:b'))"
            " with check (auth.uid() = owner)"
        ),
        '"s"."t" "p"',
    ),
    "policy_without_index": (
        (
            "create table s.t (id int primary key, org uuid, open boolean);"
            " create policy p on s.t for select using (open or org in (select auth.orgs()))"
        ),
        '"s"."t" "p"',
    ),
}


@pytest_asyncio.fixture
async def owner(
    engines: EngineAddresses, database: str
) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(engines.database_url(database))
    yield connection
    await connection.close()


async def findings(admin: Caller, schema: str) -> dict[str, dict[str, str]]:
    response = await admin.get(f"{ADVISOR}?schema={schema}")
    assert response.status_code == 200, response.text
    return {one["code"]: one for one in response.json()["findings"]}


async def make(owner: "asyncpg.Connection[asyncpg.Record]", sql: str) -> str:
    schema = unique("advised")
    await owner.execute(f"create schema {schema}")
    await owner.execute(f"grant usage on schema {schema} to anon, authenticated, service_role")
    await owner.execute(in_schema(sql, schema))
    return schema


def in_schema(sql: str, schema: str) -> str:
    return sql.replace('"s".', f'"{schema}".').replace("s.", f"{schema}.").replace("'s.", schema)


@pytest.mark.parametrize("code", CASES)
async def test_finds_and_mends(
    admin: Caller,
    owner: "asyncpg.Connection[asyncpg.Record]",
    superuser: "asyncpg.Connection[asyncpg.Record]",
    code: str,
):
    sql, named = CASES[code]
    schema = await make(owner, sql)
    before = await findings(admin, schema)
    assert code in before, before
    assert before[code]["object"] == in_schema(named, schema)
    assert before[code]["sentence"].endswith(".")
    fixer = superuser if "by a superuser" in before[code]["fix"] else owner
    await fixer.execute(before[code]["fix"])
    after = await findings(admin, schema)
    if fixer is superuser:
        await fixer.execute(before[code]["fix"].replace(" LEAKPROOF", " NOT LEAKPROOF"))
    assert code not in after, (before[code]["fix"], after)
    assert not {other for other in set(after) - set(before) if after[other]["severity"] == "error"}
    await owner.execute(f"drop schema {schema} cascade")


def test_every_rule_has_a_case_and_a_line_in_the_reference():
    assert {rule.code for rule in RULES} == set(CASES)
    reference = REFERENCE.read_text()
    for rule in RULES:
        assert f"| `{rule.code}` | {rule.severity.word} | {rule.meaning} |" in reference


async def test_a_policy_written_well_is_left_alone(
    admin: Caller, owner: "asyncpg.Connection[asyncpg.Record]"
):
    schema = await make(
        owner,
        "create table s.t (id int primary key, owner uuid, org uuid, body text);"
        " create index on s.t (owner); create index on s.t (org);"
        " create policy a on s.t using (owner = (select auth.uid()));"
        " create policy b on s.t using (org = any (array(select auth.orgs())));"
        " create policy c on s.t for select using (body = 'open');"
        " create policy d on s.t using (auth.org_role(org) = 'owner');"
        " create policy e on s.t to service_role using (true)",
    )
    assert await findings(admin, schema) == {}
    await owner.execute(f"drop schema {schema} cascade")


async def test_names_that_attack_stay_names(
    admin: Caller, owner: "asyncpg.Connection[asyncpg.Record]"
):
    odd = '"x""; drop table auth.users; --"'
    schema = await make(
        owner,
        f"create table s.{odd} ({odd} uuid, token text);"
        f" create policy {odd} on s.{odd} using ({odd} = auth.uid())",
    )
    found = await findings(admin, schema)
    for code in ("policy_calls_per_row", "policy_without_index", "no_primary_key"):
        await owner.execute(found[code]["fix"])
    assert set(await findings(admin, schema)) == {"secret_exposed"}
    await owner.execute(f"drop schema {schema} cascade")


async def test_counts_by_severity_and_hides_what_is_below(
    admin: Caller, owner: "asyncpg.Connection[asyncpg.Record]"
):
    schema = await make(owner, "create table s.t (id int)")
    response = await admin.get(f"{ADVISOR}?schema={schema}&severity=warning")
    assert response.json()["counts"] == {"error": 0, "warning": 1, "info": 1}
    assert [one["code"] for one in response.json()["findings"]] == ["no_primary_key"]
    await owner.execute(f"drop schema {schema} cascade")


async def test_is_for_those_who_may_see_it(admin: Caller, member: Caller):
    assert (await member.get(ADVISOR)).status_code == 403
    await promoted(admin, member, await make_group(admin, "advisor:read"))
    assert (await member.get(ADVISOR)).status_code == 200
    for schema in ("auth", "undercroft", "nowhere"):
        assert (await admin.get(f"{ADVISOR}?schema={schema}")).status_code == 404
