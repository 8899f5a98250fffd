"""Tables and policies over HTTP."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.data.sql_support import run
from tests.data.tables_support import TABLES, create
from tests.fixtures.actors import Caller, make_group, promoted, unique
from tests.fixtures.engines import EngineAddresses


class TestCreateTable:
    async def test_starts_closed_with_what_was_asked_for(self, admin: Caller):
        name = await create(
            admin,
            {"name": "id", "type": "bigserial", "primary_key": True},
            {"name": "owner", "type": "uuid", "default": "auth.uid()", "nullable": False},
            {"name": "amount", "type": "numeric(10,2)", "default": "0"},
            {"name": 'Odd "name"; --', "type": "text[]", "description": "it's odd"},
        )
        table = (await admin.get(f"{TABLES}/{name}")).json()
        assert table["row_security"] is True
        assert table["policies"] == []
        assert [(c["name"], c["type"]) for c in table["columns"]] == [
            ("id", "bigint"),
            ("owner", "uuid"),
            ("amount", "numeric(10,2)"),
            ('Odd "name"; --', "text[]"),
        ]
        assert table["columns"][0]["primary_key"]
        assert table["columns"][3]["description"] == "it's odd"

    @pytest.mark.parametrize(
        ("column", "code"),
        [
            ({"name": "a", "type": "int); drop table auth.users; --"}, "type_invalid"),
            ({"name": "a", "type": "nonsense"}, "statement_refused"),
            ({"name": "a", "type": "int", "default": "1); drop table x; --"}, "expression_invalid"),
            ({"name": "a", "type": "int", "default": "'x'"}, "statement_refused"),
            ({"name": "", "type": "int"}, "invalid"),
            ({"name": "a\u0000b", "type": "int"}, "invalid"),
            ({"name": "a" * 64, "type": "int"}, "invalid"),
            ({"name": "é" * 32, "type": "int"}, "invalid"),
            ({"name": "ctid", "type": "int"}, "statement_refused"),
            ({"name": "a", "type": "auth.users(1.5)"}, "type_invalid"),
            ({"name": "a", "type": "a.b.c"}, "type_invalid"),
            ({"name": "a", "type": "int", "colour": "red"}, "invalid"),
        ],
    )
    async def test_refuses_what_postgres_would_misread(
        self, admin: Caller, column: dict[str, Any], code: str
    ):
        name = unique("t")
        response = await admin.post(TABLES, json={"name": name, "columns": [column]})
        assert response.status_code == 422, response.text
        assert response.json()["code"] == code
        assert (await admin.get(f"{TABLES}/{name}")).status_code == 404

    async def test_a_duplicate_is_a_conflict_unless_asked_otherwise(self, admin: Caller):
        name = await create(admin)
        body = {"name": name, "columns": [{"name": "id", "type": "int"}]}
        assert (await admin.post(TABLES, json=body)).status_code == 409
        again = await admin.post(TABLES, json=body | {"if_not_exists": True})
        assert again.status_code == 201
        assert again.json()["created"] is False

    async def test_many_at_once_make_and_drop_one(self, admin: Caller):
        body = {"name": unique("t"), "columns": [{"name": "id", "type": "serial"}]}

        async def tell(method: str, path: str, **options: Any) -> tuple[int, str]:
            answer = await admin.request(method, path, **options)
            return answer.status_code, "" if answer.is_success else answer.json()["code"]

        path = f"{TABLES}/{body['name']}"
        made = await asyncio.gather(*(tell("POST", TABLES, json=body) for _ in range(12)))
        assert made.count((201, "")) == 1
        assert set(made) <= {(201, ""), (409, "table_exists"), (409, "table_busy")}
        gone = await asyncio.gather(*(tell("DELETE", path) for _ in range(12)))
        assert gone.count((204, "")) == 1
        assert set(gone) <= {(204, ""), (404, "table_not_found"), (409, "table_busy")}

    async def test_a_name_that_no_path_leads_to_is_refused(self, admin: Caller):
        name = await create(admin, {"name": "a/b", "type": "int"})
        for odd in ("a/b", ".", ".."):
            body = {"name": odd, "columns": [{"name": "id", "type": "int"}]}
            for response in (
                await admin.post(TABLES, json=body),
                await admin.patch(f"{TABLES}/{name}", json={"name": odd}),
            ):
                assert response.status_code == 422, response.text
                assert response.json()["errors"][0]["code"] == "name_not_in_paths"
        path = f"{TABLES}/{name}/columns/a%2Fb"
        assert (await admin.patch(path, json={"type": "bigint"})).status_code == 200
        assert (await admin.delete(path)).status_code == 204

    async def test_system_schemas_do_not_exist(self, admin: Caller):
        body = {"name": "x", "columns": [{"name": "id", "type": "int"}]}
        for schema in ("auth", "undercroft", "pg_catalog", "information_schema", "nowhere"):
            response = await admin.post(TABLES, params={"schema": schema}, json=body)
            assert response.status_code == 404, schema
            assert (await admin.get(f"{TABLES}/users?schema={schema}")).status_code == 404

    async def test_needs_the_permission(
        self, client: httpx.AsyncClient, member: Caller, service: Caller
    ):
        body = {"name": unique("t"), "columns": [{"name": "id", "type": "int"}]}
        assert (await client.post(TABLES, json=body)).status_code == 401
        assert (await member.post(TABLES, json=body)).status_code == 403
        assert (await service.post(TABLES, json=body)).status_code == 201


class TestPolicies:
    async def test_are_kept_as_postgres_understood_them(self, admin: Caller):
        name = await create(admin, {"name": "owner", "type": "uuid"})
        body = {"name": "own rows", "command": "select", "using": "owner = (select auth.uid())"}
        created = await admin.post(f"{TABLES}/{name}/policies", json=body)
        assert created.status_code == 201, created.text
        assert created.json()["roles"] == ["authenticated"]
        assert (await admin.delete(f"{TABLES}/{name}/policies/own rows")).status_code == 204
        assert (await admin.delete(f"{TABLES}/{name}/policies/own rows")).status_code == 404

    async def test_refuse_anything_but_one_expression(self, admin: Caller):
        name = await create(admin)
        for using in ("true); drop table x; --", "true) with check (true", "nowhere = 1", ""):
            body = {"name": "p", "using": using}
            response = await admin.post(f"{TABLES}/{name}/policies", json=body)
            assert response.status_code == 422, using


class TestChangeTable:
    async def test_renames_and_describes(self, admin: Caller):
        name, other = await create(admin), unique("t")
        body = {"name": other, "description": "it's; --"}
        changed = await admin.patch(f"{TABLES}/{name}", json=body)
        assert changed.status_code == 200, changed.text
        assert (changed.json()["name"], changed.json()["description"]) == (other, "it's; --")
        assert (await admin.get(f"{TABLES}/{name}")).status_code == 404
        forgotten = await admin.patch(f"{TABLES}/{other}", json={"description": None})
        assert forgotten.json()["description"] is None

    async def test_a_name_in_use_is_a_conflict(self, admin: Caller):
        one, two = await create(admin), await create(admin)
        response = await admin.patch(f"{TABLES}/{one}", json={"name": two})
        assert (response.status_code, response.json()["code"]) == (409, "table_exists")

    async def test_row_security_is_for_those_who_may_decide_on_policies(
        self, admin: Caller, member: Caller
    ):
        name = await create(admin)
        await promoted(admin, member, await make_group(admin, "tables:update"))
        body = {"row_security": False}
        path = f"{TABLES}/{name}"
        refused = await member.patch(path, json=body)
        assert refused.status_code == 403, refused.text
        assert refused.json()["code"] == "missing_permission"
        assert (await admin.patch(path, json=body)).json()["row_security"] is False
        assert (await admin.patch(path, json={"row_security": True})).json()["row_security"]


class TestChangeColumn:
    async def test_changes_everything_at_once(self, admin: Caller):
        name = await create(
            admin,
            {"name": "id", "type": "int", "primary_key": True},
            {"name": "n", "type": "text", "default": "'x'"},
        )
        body = {
            "name": "amount",
            "type": "numeric(10, 2)",
            "using": "nullif(n, 'x')::numeric",
            "default": "1.5",
            "nullable": False,
            "description": "in euros",
        }
        changed = await admin.patch(f"{TABLES}/{name}/columns/n", json=body)
        assert changed.status_code == 200, changed.text
        assert changed.json() == {
            "name": "amount",
            "type": "numeric(10,2)",
            "nullable": False,
            "default": "1.5",
            "generated": None,
            "primary_key": False,
            "identity": False,
            "description": "in euros",
        }
        path = f"{TABLES}/{name}/columns/amount"
        cleared = await admin.patch(path, json={"default": None, "description": None})
        assert (cleared.json()["default"], cleared.json()["description"]) == (None, None)

    async def test_shows_generated_ones(self, admin: Caller):
        name = await create(
            admin,
            {"name": "id", "type": "bigserial"},
            {"name": "twice", "type": "bigint", "generated": "id * 2"},
        )
        columns = (await admin.get(f"{TABLES}/{name}")).json()["columns"]
        assert columns[0]["identity"]
        assert (columns[1]["generated"], columns[1]["default"]) == ("(id * 2)", None)

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            ({"type": "int"}, 422),
            ({"type": "int", "using": "n::int); drop table auth.users; --"}, 422),
            ({"using": "n"}, 422),
            ({"name": "id"}, 409),
            ({"type": "auth.users"}, 422),
            ({"default": "(select 1)"}, 422),
            ({"nullable": "maybe"}, 422),
        ],
    )
    async def test_refuses_what_does_not_hold(
        self, admin: Caller, change: dict[str, Any], status: int
    ):
        name = await create(admin, {"name": "id", "type": "int"}, {"name": "n", "type": "text"})
        response = await admin.patch(f"{TABLES}/{name}/columns/n", json=change)
        assert response.status_code == status, response.text
        assert (await admin.patch(f"{TABLES}/{name}/columns/x", json={})).status_code == 404

    async def test_says_what_stands_in_the_way_and_what_would_help(self, admin: Caller):
        name = await create(admin, {"name": "n", "type": "text"})
        path = f"{TABLES}/{name}/columns/n"
        refused = (await admin.patch(path, json={"type": "int"})).json()
        assert refused["hint"] == 'You might need to specify "USING n::integer".'
        await run(admin, f"create view {name}_v as select n from {name}")
        refused = (await admin.delete(path)).json()
        assert refused["details"] == f"view {name}_v depends on column n of table {name}"

    async def test_a_key_may_come_later(self, admin: Caller):
        path = f"{TABLES}/{await create(admin, {'name': 'n', 'type': 'int'})}/columns"
        key = {"name": "id", "type": "bigserial", "primary_key": True}
        made = await admin.post(path, json=key)
        assert made.status_code == 201, made.text
        assert made.json()["primary_key"]
        assert (await admin.post(path, json=key | {"name": "other"})).status_code == 422

    async def test_a_table_in_use_is_busy_and_not_waited_for(
        self, admin: Caller, engines: EngineAddresses, database: str
    ):
        name = await create(admin, {"name": "n", "type": "int"})
        holder = await asyncpg.connect(engines.superuser_database_url(database))
        try:
            async with holder.transaction():
                await holder.execute(f'LOCK TABLE "{name}"')
                response = await admin.patch(f"{TABLES}/{name}/columns/n", json={"name": "m"})
        finally:
            await holder.close()
        assert (response.status_code, response.json()["code"]) == (409, "table_busy")

    async def test_many_at_once_change_one_table_each_wholly_or_not(self, admin: Caller):
        name = await create(admin)

        async def add(number: int) -> int:
            column = {"name": f"c{number % 10}", "type": "int", "description": "x"}
            return (await admin.post(f"{TABLES}/{name}/columns", json=column)).status_code

        statuses = await asyncio.gather(*(add(number) for number in range(20)))
        assert set(statuses) <= {201, 409}
        columns = (await admin.get(f"{TABLES}/{name}")).json()["columns"]
        assert len(columns) == 1 + statuses.count(201) == 11


class TestReferences:
    async def test_to_accounts_and_to_nothing_else_of_ours(self, admin: Caller):
        def column(**reference: str) -> dict[str, Any]:
            return {"name": "owner", "type": "uuid", "references": reference}

        await create(admin, column(schema="auth", table="users"))
        await create(admin, column(schema="auth", table="users", column="id"))
        for reference in (
            {"schema": "auth", "table": "sessions"},
            {"schema": "auth", "table": "users", "column": "email"},
            {"schema": "undercroft", "table": "idempotency_keys"},
            {"schema": "pg_catalog", "table": "pg_class"},
        ):
            body = {"name": unique("t"), "columns": [column(**reference)]}
            assert (await admin.post(TABLES, json=body)).status_code == 404, reference


class TestConstraints:
    async def test_are_added_shown_and_dropped(self, admin: Caller):
        parent = await create(admin, {"name": "a", "type": "int"}, {"name": "b", "type": "int"})
        child = await create(admin, {"name": "x", "type": "int"}, {"name": "y", "type": "int"})
        key = {"kind": "primary_key", "columns": ["a", "b"]}
        made = await admin.post(f"{TABLES}/{parent}/constraints", json=key)
        assert made.status_code == 201, made.text
        assert made.json()["columns"] == ["a", "b"]
        foreign = {
            "kind": "foreign_key",
            "name": "to parent",
            "columns": ["x", "y"],
            "references_table": parent,
            "on_delete": "cascade",
        }
        made = await admin.post(f"{TABLES}/{child}/constraints", json=foreign)
        assert made.json()["references"] == {
            "schema": "public",
            "table": parent,
            "columns": ["a", "b"],
            "on_delete": "cascade",
            "on_update": "no action",
        }
        for body in (
            {"kind": "check", "expression": "x > 0"},
            {"kind": "unique", "columns": ["x"], "nulls_not_distinct": True},
        ):
            made = await admin.post(f"{TABLES}/{child}/constraints", json=body)
            assert made.status_code == 201, made.text
        table = (await admin.get(f"{TABLES}/{child}")).json()
        assert len(table["constraints"]) == 3
        assert [key["name"] for key in table["foreign_keys"]] == ["to parent"]
        path = f"{TABLES}/{parent}/constraints/{parent}_pkey"
        assert (await admin.delete(path)).status_code == 422
        assert (await admin.delete(path + "?cascade=true")).status_code == 204
        assert (await admin.get(f"{TABLES}/{child}")).json()["foreign_keys"] == []
        assert (await admin.delete(path)).status_code == 404

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"kind": "check", "expression": "true) ; drop table x; --"}, 422),
            ({"kind": "check", "expression": "exists (select 1)"}, 422),
            ({"kind": "unique", "columns": ["nowhere"]}, 422),
            ({"kind": "unique", "columns": []}, 422),
            ({"kind": "nonsense"}, 422),
            ({"kind": "foreign_key", "columns": ["a"], "references_table": "nowhere"}, 422),
            (
                {
                    "kind": "foreign_key",
                    "columns": ["a"],
                    "references_table": "users",
                    "references_schema": "auth",
                    "references_columns": ["email"],
                },
                404,
            ),
        ],
    )
    async def test_refuse_what_is_none(self, admin: Caller, body: dict[str, Any], status: int):
        name = await create(admin, {"name": "a", "type": "int"})
        response = await admin.post(f"{TABLES}/{name}/constraints", json=body)
        assert response.status_code == status, response.text


class TestLists:
    async def test_go_both_ways_and_refuse_made_up_cursors(self, admin: Caller):
        word = unique("listed")
        names = [await create(admin, name=f"{word}_{letter}") for letter in "abc"]
        for sort, expected in (("", names), ("name", names), ("-name", names[::-1])):
            found: list[str] = []
            page: dict[str, Any] = {"search": word, "sort": sort, "limit": 2, "count": "exact"}
            while True:
                answer = (await admin.get(TABLES, params=page)).json()
                found += [item["name"] for item in answer["items"]]
                assert answer["total"] == 3
                if answer["next_cursor"] is None:
                    break
                page["cursor"] = answer["next_cursor"]
            assert found == expected
        for cursor in (names[0], "x", "WyIiLDFd", "WyIiLCJcdTAwMDAiXQ", "W10", "bnVsbA"):
            refused = await admin.get(TABLES, params={"cursor": cursor})
            assert refused.status_code == 422, (cursor, refused.text)
        assert (await admin.get(TABLES, params={"sort": "rows"})).status_code == 422
