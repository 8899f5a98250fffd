"""`POST /rest/v1/batch`: several statements, one transaction, the caller's own rights."""

import asyncio
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.data.sql_support import run
from tests.data.test_tables import TABLES, create
from tests.fixtures.actors import Caller, unique

BATCH = "/rest/v1/batch"


class Shop:
    """Orders with their lines; everyone has their own."""

    def __init__(self, orders: str, lines: str) -> None:
        self.orders, self.lines = orders, lines


@pytest_asyncio.fixture
async def shop(admin: Caller) -> Shop:
    key = {"name": "id", "type": "bigserial", "primary_key": True}
    owner = {"name": "owner", "type": "uuid", "default": "auth.uid()"}
    orders = await create(
        admin, key, owner, {"name": "note", "type": "text"}, {"name": "facts", "type": "jsonb"}
    )
    lines = await create(
        admin,
        key,
        owner,
        {
            "name": "order_id",
            "type": "bigint",
            "nullable": False,
            "references": {"table": orders, "on_delete": "cascade"},
        },
        {"name": "amount", "type": "numeric", "default": "1"},
    )
    for table in (orders, lines):
        body = {"name": "own", "template": {"kind": "owner", "column": "owner"}}
        made = await admin.post(f"{TABLES}/{table}/policies", json=body)
        assert made.status_code == 201, made.text
    return Shop(orders, lines)


async def rows(caller: Caller, table: str, query: str = "") -> list[dict[str, Any]]:
    return list((await caller.get(f"/rest/v1/{table}?order=id&{query}")).json())


class TestCalls:
    async def test_give_results_that_later_steps_use(
        self, shop: Shop, admin: Caller, member: Caller
    ):
        name = unique("twice")
        await run(
            admin,
            f"create function {name}(n int) returns table (id int, doubled int)"
            " language sql as 'select n, n * 2';"
            f"create function {name}_one(n int) returns int language sql as 'select n * 2';"
            f"grant execute on function {name}(int), {name}_one(int) to authenticated",
        )
        steps = [
            {"op": "call", "function": name, "body": {"n": 4}, "ref": "twice"},
            {"op": "call", "function": f"{name}_one", "body": {"n": {"$ref": "twice.doubled"}}},
            {"op": "insert", "table": shop.orders, "body": {"note": {"$ref": "twice.doubled"}}},
        ]
        answer = await member.post(BATCH, json=steps)
        assert answer.status_code == 200, answer.text
        first, second, third = answer.json()["steps"]
        assert first["result"] == [{"id": 4, "doubled": 8}]
        assert second["result"] == 16
        assert third["rows"][0]["note"] == "8"

    async def test_may_deallocate_what_was_prepared(
        self, shop: Shop, admin: Caller, member: Caller
    ):
        name = unique("forget")
        await run(
            admin,
            f"create function {name}() returns void language plpgsql"
            " as 'begin deallocate all; end';"
            f"grant execute on function {name}() to authenticated",
        )
        insert = {"op": "insert", "table": shop.orders, "body": {"note": "kept"}}
        answer = await member.post(BATCH, json=[insert, {"op": "call", "function": name}, insert])
        assert answer.status_code == 200, answer.text
        assert len(await rows(member, shop.orders)) == 2
        assert (await member.post(BATCH, json=[insert])).status_code == 200

    @pytest.mark.parametrize(
        ("call", "status"),
        [
            ({"function": "nowhere", "body": {}}, 404),
            ({"table": "orders"}, 400),
            ({"function": "nowhere", "where": {}}, 400),
        ],
    )
    async def test_of_nothing_are_refused_with_their_step(
        self, shop: Shop, member: Caller, call: dict[str, Any], status: int
    ):
        steps = [{"op": "insert", "table": shop.orders, "body": {}}, {"op": "call", **call}]
        refused = await member.post(BATCH, json=steps)
        assert refused.status_code == status, refused.text
        assert refused.json()["step"] == 1
        assert await rows(member, shop.orders) == []


async def test_a_table_of_that_name_has_all_other_methods(admin: Caller, service: Caller):
    """POST is the batch's; a step of one inserts into such a table."""
    await run(admin, "create table if not exists batch (id int primary key, word text)")
    try:
        step = {"op": "insert", "table": "batch", "body": {"id": 1, "word": "a"}}
        assert (await service.post(BATCH, json=[step])).status_code == 200
        changed = await service.patch(f"{BATCH}?id=eq.1", json={"word": "b"})
        assert changed.status_code == 204, changed.text
        assert (await service.get(BATCH)).json() == [{"id": 1, "word": "b"}]
        put = await service.put(f"{BATCH}?id=eq.2", json={"id": 2, "word": "c"})
        assert put.status_code in (200, 201, 204), put.text
        assert (await service.delete(f"{BATCH}?id=eq.1")).status_code == 204
    finally:
        await run(admin, "drop table batch")


class TestSteps:
    async def test_later_ones_use_what_earlier_ones_gave(self, shop: Shop, member: Caller):
        steps = [
            {"op": "insert", "table": shop.orders, "body": {"note": "a"}, "ref": "order"},
            {
                "op": "insert",
                "table": shop.lines,
                "body": [
                    {"order_id": {"$ref": "order.id"}, "amount": 2},
                    {"order_id": {"$ref": "order.0.id"}, "amount": 3},
                ],
                "ref": "lines",
            },
            {
                "op": "update",
                "table": shop.lines,
                "body": {"amount": 10},
                "where": {"id": {"in": {"$ref": "lines.*.id"}}, "amount": {"gt": 2, "lt": 9}},
            },
            {
                "op": "select",
                "table": shop.orders,
                "select": f"note,{shop.lines}(amount)",
                "where": {"id": {"$ref": "order.id"}},
            },
            {"op": "delete", "table": shop.lines, "where": "amount=eq.2", "return": "minimal"},
        ]
        response = await member.post(BATCH, json=steps)
        assert response.status_code == 200, response.text
        answered = response.json()
        assert answered["dry_run"] is False
        assert [step["count"] for step in answered["steps"]] == [1, 2, 1, 1, 1]
        read = answered["steps"][3]["rows"][0]
        assert sorted(line["amount"] for line in read[shop.lines]) == [2, 10]
        assert "rows" not in answered["steps"][4]
        assert [line["amount"] for line in await rows(member, shop.lines)] == [10]

    async def test_upsert_and_call(self, shop: Shop, service: Caller):
        key = [{"id": 1, "note": "a"}, {"id": 2, "note": "b"}]
        steps = [
            {"op": "insert", "table": shop.orders, "body": key},
            {"op": "upsert", "table": shop.orders, "body": {"id": 1, "note": "c"}},
            {
                "op": "insert",
                "table": shop.orders,
                "body": {"id": 2, "note": "z"},
                "resolution": "ignore-duplicates",
                "on_conflict": ["id"],
            },
        ]
        response = await service.post(BATCH, json=steps)
        assert response.status_code == 200, response.text
        found = await rows(service, shop.orders)
        assert [row["note"] for row in found] == ["c", "b"]

    async def test_numbers_keep_their_digits(self, shop: Shop, service: Caller):
        raw = (
            f'[{{"op":"insert","table":"{shop.orders}","ref":"o","body":'
            '{"note":"x","facts":{"n":12345678901234567890123.10}}},'
            f'{{"op":"insert","table":"{shop.lines}","body":'
            '{"order_id":{"$ref":"o.id"},"amount":12345678901234567890123.10}}]'
        )
        response = await service.post(BATCH, content=raw)
        assert response.status_code == 200, response.text
        assert "12345678901234567890123.10" in response.text.split('"order_id"')[1]
        assert '"n": 12345678901234567890123.10' in response.text

    async def test_a_hundred_thousand_rows_are_one_statement(self, shop: Shop, member: Caller):
        body = [{"note": f"n{number}"} for number in range(20_000)]
        step = {"op": "insert", "table": shop.orders, "body": body, "return": "minimal"}
        response = await member.post(BATCH, json=[step])
        assert response.json()["steps"] == [{"op": "insert", "ref": None, "count": 20_000}]
        assert {row["owner"] for row in await rows(member, shop.orders, "limit=5")} == {member.id}


class TestAllOrNothing:
    async def test_the_step_that_failed_is_named_and_nothing_is_kept(
        self, shop: Shop, member: Caller
    ):
        steps = [
            {"op": "insert", "table": shop.orders, "body": {"note": "a"}},
            {"op": "insert", "table": shop.lines, "body": {"order_id": 0}, "ref": "broken"},
        ]
        response = await member.post(BATCH, json=steps)
        assert response.status_code == 409, response.text
        error = response.json()
        assert (error["code"], error["step"], error["ref"]) == ("23503", 1, "broken")
        assert await rows(member, shop.orders) == []

    async def test_a_dry_run_keeps_nothing_and_answers_all_the_same(
        self, shop: Shop, member: Caller
    ):
        steps = [{"op": "insert", "table": shop.orders, "body": {"note": "a"}, "ref": "o"}]
        response = await member.post(f"{BATCH}?dry_run", json=steps)
        assert response.status_code == 200, response.text
        assert response.json()["dry_run"] is True
        assert response.json()["steps"][0]["rows"][0]["note"] == "a"
        assert await rows(member, shop.orders) == []

    async def test_more_rows_than_allowed_undo_it(self, shop: Shop, member: Caller):
        steps = [
            {"op": "insert", "table": shop.orders, "body": [{"note": "a"}, {"note": "b"}]},
            {"op": "delete", "table": shop.orders, "where": {}, "max_affected": 1},
        ]
        response = await member.post(BATCH, json=steps)
        assert (response.status_code, response.json()["code"]) == (400, "PGRST124")
        assert await rows(member, shop.orders) == []


class TestRights:
    async def test_every_step_is_the_callers(self, shop: Shop, member: Caller, outsider: Caller):
        made = await member.post(
            BATCH, json=[{"op": "insert", "table": shop.orders, "body": {"note": "mine"}}]
        )
        id_ = made.json()["steps"][0]["rows"][0]["id"]
        steps = [
            {"op": "select", "table": shop.orders, "where": {"id": id_}},
            {"op": "update", "table": shop.orders, "where": {"id": id_}, "body": {"note": "x"}},
            {"op": "delete", "table": shop.orders, "where": {}},
        ]
        response = await outsider.post(BATCH, json=steps)
        assert [step["count"] for step in response.json()["steps"]] == [0, 0, 0]
        theirs = {"op": "insert", "table": shop.orders, "body": {"owner": member.id}}
        assert (await outsider.post(BATCH, json=[theirs])).status_code == 403
        assert [row["note"] for row in await rows(member, shop.orders)] == ["mine"]

    async def test_nobody_and_the_anon_key(
        self, shop: Shop, client: httpx.AsyncClient, api_keys: dict[str, str]
    ):
        steps = [{"op": "select", "table": shop.orders}]
        assert (await client.post(BATCH, json=steps)).status_code == 401
        anon = {"apikey": api_keys["anon"]}
        response = await client.post(BATCH, json=steps, headers=anon)
        assert (response.status_code, response.json()["code"]) == (401, "42501")
        keyed = anon | {"Idempotency-Key": "k"}
        refused = await client.post(BATCH, json=steps, headers=keyed)
        assert (refused.status_code, refused.json()["code"]) == (401, "42501")

    @pytest.mark.parametrize("schema", ["auth", "undercroft", "pg_catalog", "nowhere"])
    async def test_our_schemas_do_not_exist(self, service: Caller, schema: str):
        step = {"op": "select", "table": "users", "schema": schema}
        response = await service.post(BATCH, json=[step])
        assert (response.status_code, response.json()["code"]) == (406, "PGRST106")

    async def test_what_a_row_holds_is_no_operator(self, shop: Shop, member: Caller):
        body = [{"note": "a", "facts": {"neq": "x"}}, {"note": "b", "facts": {}}]
        steps = [
            {"op": "insert", "table": shop.orders, "body": body, "ref": "o"},
            {"op": "delete", "table": shop.orders, "where": {"facts": {"$ref": "o.0.facts"}}},
        ]
        response = await member.post(BATCH, json=steps)
        assert response.json()["steps"][1]["count"] == 1, response.text


class TestRefusals:
    @pytest.mark.parametrize(
        ("steps", "step"),
        [
            ({}, None),
            ([], None),
            ("x", None),
            ([1], 0),
            ([{"op": "drop", "table": "t"}], 0),
            ([{"op": "select"}], 0),
            ([{"op": "select", "table": "t", "colour": 1}], 0),
            ([{"op": "insert", "table": "t"}], 0),
            ([{"op": "insert", "table": "t", "body": 5}], 0),
            ([{"op": "update", "table": "t", "body": {}}], 0),
            ([{"op": "update", "table": "t", "body": [{}], "where": {}}], 0),
            ([{"op": "delete", "table": "t"}], 0),
            ([{"op": "insert", "table": "t", "body": {"a": {"$ref": "later.id"}}}], 0),
            ([{"op": "insert", "table": "t", "body": {"a": {"$ref": "me.id"}}, "ref": "me"}], 0),
            (
                [
                    {"op": "select", "table": "t", "ref": "a"},
                    {"op": "select", "table": "t", "ref": "a"},
                ],
                1,
            ),
            ([{"op": "select", "table": "t"}] * 1001, None),
        ],
    )
    async def test_before_anything_runs(self, service: Caller, steps: Any, step: int | None):
        response = await service.post(BATCH, json=steps)
        assert response.status_code == 400, response.text
        assert response.json()["code"] in {"UCB100", "UCB101"}
        assert response.json().get("step") == step

    @pytest.mark.parametrize(
        ("where", "code"),
        [
            ({"id": [1, 2]}, "UCB101"),
            ({"id": {}}, "UCB101"),
            ({"id": {"drop": 1}}, "PGRST100"),
            ({"id": {"eq.1;": 1}}, "UCB101"),
            ({"id": {"in": 5}}, "UCB101"),
            ({"nowhere": 1}, "42703"),
            ({"id": "x"}, "22P02"),
            ("id=nonsense", "PGRST100"),
            ({'id" or true --': 1}, "42703"),
            ({"auth.users.email": 1}, "42703"),
        ],
    )
    async def test_conditions_that_are_none(
        self, shop: Shop, service: Caller, where: Any, code: str
    ):
        step = {"op": "delete", "table": shop.orders, "where": where}
        response = await service.post(BATCH, json=[step])
        assert response.status_code == 400, response.text
        assert (response.json()["code"], response.json()["step"]) == (code, 0)

    async def test_references_that_lead_nowhere(self, shop: Shop, member: Caller):
        two = {"op": "insert", "table": shop.orders, "body": [{}, {}], "ref": "two"}
        for path in ("two.id", "two.2.id", "two.0.nowhere", "two", "two.0", "two."):
            step = {"op": "select", "table": shop.orders, "where": {"id": {"$ref": path}}}
            response = await member.post(BATCH, json=[two, step])
            assert response.status_code == 400, path
            assert (response.json()["code"], response.json()["step"]) == ("UCB102", 1), path
        assert await rows(member, shop.orders) == []

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\xff",
            b"[NaN]",
            b"[" * 100_000,
            b'[{"op":"insert","table":"t","body":' + b"[" * 900 + b"]" * 900 + b"}]",
            b'[{"op":"insert","table":"t","body":{"a":"\\ud800"}}]',
            b'[{"op":"select","table":"t\\u0000"}]',
            b'[{"op":"insert","table":"t","body":{"\\u0000":"\\u0000"}}]',
        ],
    )
    async def test_bodies_that_are_none(self, service: Caller, raw: bytes):
        response = await service.post(BATCH, content=raw)
        assert response.status_code in {400, 404}, response.text

    async def test_an_unknown_table(self, service: Caller):
        response = await service.post(BATCH, json=[{"op": "select", "table": unique("nowhere")}])
        assert (response.status_code, response.json()["code"]) == (404, "PGRST205")


class TestIdempotency:
    async def test_a_key_is_done_once_per_caller(
        self, shop: Shop, member: Caller, outsider: Caller
    ):
        steps = [{"op": "insert", "table": shop.orders, "body": {"note": "a"}}]
        headers = {"Idempotency-Key": unique("key")}
        first = await member.post(BATCH, json=steps, headers=headers)
        again = await member.post(BATCH, json=steps, headers=headers)
        assert first.content == again.content
        assert again.headers["idempotency-replayed"] == "true"
        assert len(await rows(member, shop.orders)) == 1
        other = await member.post(BATCH, json=[*steps, *steps], headers=headers)
        assert (other.status_code, other.json()["code"]) == (422, "UCB104")
        theirs = await outsider.post(BATCH, json=steps, headers=headers)
        assert theirs.status_code == 200
        assert "idempotency-replayed" not in theirs.headers

    async def test_twenty_at_once_do_it_once(self, shop: Shop, member: Caller):
        steps = [{"op": "insert", "table": shop.orders, "body": {"note": "a"}}]
        headers = {"Idempotency-Key": unique("key")}
        posts = [member.post(BATCH, json=steps, headers=headers) for _ in range(20)]
        answers = await asyncio.gather(*posts)
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert len(await rows(member, shop.orders)) == 1

    async def test_a_refusal_is_not_kept(self, shop: Shop, member: Caller):
        headers = {"Idempotency-Key": unique("key")}
        broken = [{"op": "insert", "table": shop.lines, "body": {"order_id": 0}}]
        for _ in range(2):
            response = await member.post(BATCH, json=broken, headers=headers)
            assert response.status_code == 409
            assert "idempotency-replayed" not in response.headers


WORDS = st.one_of(
    st.sampled_from(["insert", "select", "delete", "id", "note", "a", "a.id", "$ref", "eq", "in"]),
    st.text(max_size=5),
)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        WORDS,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=6,
)
STEPS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["insert", "upsert", "update", "delete", "select"])},
        optional={
            "body": st.one_of(
                JSON, st.dictionaries(st.sampled_from(["id", "note", "facts"]), JSON)
            ),
            "where": st.one_of(JSON, st.dictionaries(st.sampled_from(["id", "facts"]), JSON)),
            "ref": st.sampled_from(["a", "b", "0"]),
            "select": WORDS,
            "order": WORDS,
            "limit": st.integers(-1, 3),
            "on_conflict": st.lists(WORDS, max_size=2),
            "return": st.sampled_from(["minimal", "representation"]),
        },
    ),
    max_size=3,
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
async def test_whatever_is_asked_the_answer_is_not_a_500(
    shop: Shop, member: Caller, steps: list[dict[str, Any]]
):
    body = [step | {"table": shop.orders} for step in steps]
    content = httpx.Request("POST", "http://x", json=body).content
    response = await member.post(f"{BATCH}?dry_run", content=content)
    assert response.status_code < 500, response.text
