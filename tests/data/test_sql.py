"""The SQL console over HTTP: what it answers, and that a script is all or nothing."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.data.sql_support import SQL, refused, run, value
from tests.fixtures.actors import Caller, make_group, promoted, unique


class TestResults:
    async def test_each_statement_answers_columns_rows_command_and_time(self, admin: Caller):
        name = unique("t")
        answer = await run(
            admin,
            f"create table {name} (id int primary key, word text);"
            f"insert into {name} values (1, 'a;b'), (2, null) returning id;"
            f"-- a comment; with a semicolon\nupdate {name} set word = 'c' where id = 2;"
            f"select * from {name} order by id",
        )
        created, inserted, updated, selected = answer["results"]
        assert created["command"] == "CREATE TABLE"
        assert created["columns"] == []
        assert (inserted["command"], inserted["affected_rows"]) == ("INSERT", 2)
        assert inserted["rows"] == [[1], [2]]
        assert (updated["command"], updated["affected_rows"]) == ("UPDATE", 1)
        assert selected["columns"] == [
            {"name": "id", "type": "int4"},
            {"name": "word", "type": "text"},
        ]
        assert selected["rows"] == [[1, "a;b"], [2, "c"]]
        assert selected["row_count"] == 2
        assert selected["affected_rows"] is None
        assert answer["committed"] is True
        assert answer["milliseconds"] >= selected["milliseconds"] > 0

    @pytest.mark.parametrize(
        ("expression", "type_name", "expected"),
        [
            ("null::int", "int4", None),
            ("true", "bool", True),
            ("32767::int2", "int2", 32767),
            ("9007199254740993", "int8", "9007199254740993"),
            ("1.10::numeric(9,2)", "numeric", "1.10"),
            ("'NaN'::numeric", "numeric", "NaN"),
            ("0.1::float8", "float8", 0.1),
            ("'NaN'::float8", "float8", "NaN"),
            ("'-Infinity'::float4", "float4", "-Infinity"),
            ("'infinity'::timestamptz", "timestamptz", "infinity"),
            ("'4713-01-01 BC'::date", "date", "4713-01-01 BC"),
            ("'294276-12-31'::timestamp", "timestamp", "294276-12-31 00:00:00"),
            ("'2026-02-03 04:05:06.789+02'::timestamptz", "timestamptz", None),
            ("'1 year 2 mons 3 days'::interval", "interval", "P1Y2M3D"),
            ("'\\x00ff'::bytea", "bytea", "\\x00ff"),
            ("'{\"a\": [1, 12345678901234567890.5]}'::jsonb", "jsonb", None),
            ("'[1, 2]'::json", "json", [1, 2]),
            ("array[1, null, 3]", "int4[]", [1, None, 3]),
            ("array[[1,2],[3,4]]", "int4[]", [[1, 2], [3, 4]]),
            ("array['a,\"b', 'null', null]", "text[]", ['a,"b', "null", None]),
            ("array[1.5, 2]::numeric[]", "numeric[]", ["1.5", "2"]),
            ("array['[1]']::jsonb[]", "jsonb[]", [[1]]),
            ("'[2020-01-01,2021-01-01)'::daterange", "daterange", "[2020-01-01,2021-01-01)"),
            ("'{[1,3),[5,7)}'::int4multirange", "int4multirange", "{[1,3),[5,7)}"),
            ("row(1, now() = now(), 'x y')", "record", '(1,t,"x y")'),
            ("'10.0.0.1/8'::inet", "inet", "10.0.0.1/8"),
            ("point(1,2)", "point", "(1,2)"),
            ("'a fat cat'::tsvector", "tsvector", "'a' 'cat' 'fat'"),
            ("b'101'", "bit", "101"),
            ("'x'::\"char\"", "char", "x"),
            ("'pg_class'::regclass", "regclass", "pg_class"),
            ("'12.50'::money", "money", "$12.50"),
            ("'<a/>'::text", "text", "<a/>"),
            ("''", "text", ""),
        ],
    )
    async def test_values_are_json_and_lose_nothing(
        self, admin: Caller, expression: str, type_name: str, expected: Any
    ):
        result = (await run(admin, f"select {expression} as v"))["results"][0]
        assert result["columns"] == [{"name": "v", "type": type_name}]
        if expected is not None:
            assert result["rows"] == [[expected]]

    async def test_types_of_ones_own_come_as_postgres_writes_them(self, admin: Caller):
        name = unique("k")
        answer = await run(
            admin,
            f"create type {name}_e as enum ('a', 'b');"
            f"create domain {name}_d as int check (value > 0);"
            f"create type {name}_c as (x int, at timestamptz);"
            f"select 'a'::{name}_e, 5::{name}_d, array['b']::{name}_e[], row(1, 'epoch')::{name}_c,"
            f" array[row(1, null)::{name}_c], array[7]::{name}_d[]",
        )
        assert answer["results"][-1]["rows"] == [
            ["a", 5, ["b"], '(1,"1970-01-01 00:00:00+00")', ["(1,)"], ["7"]]
        ]

    async def test_two_columns_of_one_name_are_two_values(self, admin: Caller):
        result = (await run(admin, "select 1 as a, 2 as a"))["results"][0]
        assert result["rows"] == [[1, 2]]

    async def test_more_rows_than_asked_for_are_said_to_be_there(self, admin: Caller):
        query = "select * from generate_series(1, 10000000)"
        result = (await run(admin, query, max_rows=5))["results"][0]
        assert [row[0] for row in result["rows"]] == [1, 2, 3, 4, 5]
        assert result["truncated"] is True
        exact = (await run(admin, "select * from generate_series(1, 5)", max_rows=5))["results"][0]
        assert exact["truncated"] is False

    async def test_a_writing_statement_counts_what_it_does_not_show(self, admin: Caller):
        name = unique("t")
        answer = await run(
            admin,
            f"create table {name} (id int);"
            f"insert into {name} select generate_series(1, 2000) returning id",
            max_rows=3,
        )
        inserted = answer["results"][1]
        assert (inserted["row_count"], inserted["truncated"]) == (3, True)
        assert inserted["affected_rows"] == 2000

    async def test_bytes_are_limited_too(self, admin: Caller):
        query = "select repeat('x', 1000000) from generate_series(1, 100000)"
        result = (await run(admin, query))["results"][0]
        assert result["truncated"] is True
        assert 0 < result["row_count"] < 20

    async def test_notices_come_along(self, admin: Caller):
        answer = await run(admin, "do $$ begin raise warning 'look: %', 42; end $$")
        assert answer["notices"] == [{"severity": "WARNING", "message": "look: 42"}]

    async def test_a_statement_that_stands_alone_is_run_alone(self, admin: Caller):
        name = unique("t")
        await run(admin, f"create table {name} (id int)")
        made = await run(admin, f"create index concurrently on {name} (id)")
        assert made["results"][0]["command"] == "CREATE INDEX"
        await run(admin, f"vacuum analyze {name}")
        problem = await refused(admin, f"select 1; vacuum {name}")
        assert (problem["code"], problem["statement"]) == ("statement_not_allowed", 1)


class TestParameters:
    async def test_are_typed_by_the_server(self, admin: Caller):
        query = (
            "select $1::int + 1, $2::text, $3::date, $4::jsonb, $5::text[], $6::numeric, $7::bool"
        )
        params = [41, "x'; drop", "2026-01-02", {"a": 1}, ["b", None], 10**30, False]
        rows = (await run(admin, query, *params))["results"][0]["rows"]
        assert rows == [
            [42, "x'; drop", "2026-01-02", {"a": 1}, ["b", None], "1" + "0" * 30, False]
        ]

    async def test_null_is_null(self, admin: Caller):
        assert await value(admin, "select $1::int is null", None) is True

    @pytest.mark.parametrize(
        ("query", "params", "code"),
        [
            ("select $1::int", [], "parameters_invalid"),
            ("select $1::int", [1, 2], "parameters_invalid"),
            ("select $1::int; select 1", [1], "parameters_invalid"),
            ("select $1::int[]", ["{1}"], "parameters_invalid"),
            ("select $1::int", ["one"], "sql_failed"),
            ("select $1::text", ["a\u0000b"], "sql_failed"),
        ],
    )
    async def test_that_do_not_fit_are_refused(
        self, admin: Caller, query: str, params: list[Any], code: str
    ):
        assert (await refused(admin, query, params=params))["code"] == code


class TestFailures:
    async def test_say_where_and_what_to_do(self, admin: Caller):
        query = "select 1;\n\n  select nonsense(1)"
        problem = await refused(admin, query)
        assert problem["code"] == "sql_failed"
        assert problem["sqlstate"] == "42883"
        assert problem["statement"] == 1
        assert (problem["line"], problem["column"]) == (3, 10)
        assert problem["position"] == query.index("nonsense") + 1
        assert "nonsense" in problem["message"]
        assert problem["hint"]

    async def test_a_script_that_cannot_be_read_says_where(self, admin: Caller):
        problem = await refused(admin, "select 1;\nselec 2")
        assert (problem["code"], problem["sqlstate"]) == ("sql_syntax", "42601")
        assert (problem["line"], problem["column"]) == (2, 1)

    async def test_keep_nothing_of_the_script(self, admin: Caller):
        name = unique("t")
        problem = await refused(
            admin, f"create table {name} (id int); insert into {name} values (1); select 1/0"
        )
        assert (problem["sqlstate"], problem["statement"]) == ("22012", 2)
        assert await value(admin, f"select to_regclass('{name}') is null")

    async def test_at_the_commit_are_failures_too(self, admin: Caller):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int primary key,"
            f" other int references {name} deferrable initially deferred)",
        )
        problem = await refused(admin, f"insert into {name} values (1, 2)", 409)
        assert (problem["code"], problem["sqlstate"]) == ("sql_conflict", "23503")
        assert problem["statement"] is None
        assert await value(admin, f"select count(*) from {name}") == "0"

    async def test_duplicates_are_conflicts(self, admin: Caller):
        name = unique("t")
        await run(admin, f"create table {name} (id int primary key)")
        assert (await refused(admin, f"create table {name} ()", 409))["sqlstate"] == "42P07"
        both = f"insert into {name} values (1), (1)"
        problem = await refused(admin, both, 409)
        assert problem["constraint"] == f"{name}_pkey"

    async def test_raised_as_the_servers_own_are_the_scripts(self, admin: Caller):
        raising = "do $$ begin raise 'mine' using errcode = 'XX000'; end $$"
        assert (await refused(admin, raising))["message"] == "mine"

    @pytest.mark.parametrize("query", ["", "  ", "-- nothing", ";;"])
    async def test_nothing_is_not_a_script(self, admin: Caller, query: str):
        await refused(admin, query)

    async def test_messages_are_translated_and_codes_are_not(self, admin: Caller):
        response = await admin.post(
            f"{SQL}/query", json={"query": "commit"}, headers={"Accept-Language": "de"}
        )
        assert response.json()["code"] == "statement_not_allowed"
        assert response.headers["content-language"] == "de"


class TestDryRunAndReadOnly:
    async def test_a_dry_run_shows_and_keeps_nothing(self, admin: Caller):
        name = unique("t")
        query = f"create table {name} (id int); insert into {name} values (1) returning id"
        answer = await run(admin, query, dry_run=True)
        assert answer["committed"] is False
        assert answer["results"][1]["rows"] == [[1]]
        assert await value(admin, f"select to_regclass('{name}') is null")

    @pytest.mark.parametrize(
        "attempt",
        [
            "insert into {t} values (2)",
            "set transaction read write; insert into {t} values (2)",
            "set transaction_read_only = off; insert into {t} values (2)",
            "set session characteristics as transaction read write; insert into {t} values (2)",
            "select set_config('transaction_read_only', 'off', true); delete from {t}",
            (
                "do $$ begin perform set_config('transaction_read_only', 'off', false);"
                " delete from {t}; end $$"
            ),
            "with gone as (delete from {t} returning *) select * from gone",
            "explain analyze delete from {t}",
            "create table {t}_x ()",
            "create function {t}_f() returns int language sql as 'delete from {t} returning 1'",
            "select nextval('{t}_id_seq')",
            "truncate {t}",
            "vacuum {t}",
        ],
    )
    async def test_read_only_is_kept_by_postgres(self, admin: Caller, attempt: str):
        name = unique("t")
        await run(admin, f"create table {name} (id serial); insert into {name} values (1)")
        problem = await refused(admin, attempt.format(t=name), read_only=True)
        assert problem.get("sqlstate", "25006") in {"25006", "25001"}
        assert await value(admin, f"select count(*) from {name}") == "1"


class TestExplain:
    async def test_shows_a_plan_as_text_and_as_json(self, admin: Caller):
        body: dict[str, Any] = {"query": "select * from pg_class where oid = $1", "params": ["1"]}
        text = await admin.post(f"{SQL}/explain", json=body)
        assert text.status_code == 200, text.text
        assert "pg_class" in text.json()["plan"]
        found = await admin.post(f"{SQL}/explain", json=body | {"format": "json"})
        assert found.json()["plan"][0]["Plan"]["Node Type"]

    async def test_analyze_takes_back_what_it_did(self, admin: Caller):
        name = unique("t")
        await run(admin, f"create table {name} (id int)")
        body = {"query": f"insert into {name} values (1)", "analyze": True, "buffers": True}
        answer = await admin.post(f"{SQL}/explain", json=body)
        assert "actual time" in answer.json()["plan"]
        assert await value(admin, f"select count(*) from {name}") == "0"

    async def test_refuses_several_statements_and_says_where_one_is_wrong(self, admin: Caller):
        two = await admin.post(f"{SQL}/explain", json={"query": "select 1; select 2"})
        assert two.json()["code"] == "statement_not_allowed"
        wrong = await admin.post(f"{SQL}/explain", json={"query": "select nowhere"})
        assert (wrong.status_code, wrong.json()["position"]) == (422, 8)


class TestTables:
    async def test_made_here_are_closed_and_everybodys_to_manage(self, admin: Caller):
        name = unique("t")
        await run(admin, f"create table {name} (id int primary key, owner uuid)")
        table = (await admin.get(f"/api/v1/tables/{name}")).json()
        assert table["row_security"] is True
        added = await admin.post(
            f"/api/v1/tables/{name}/columns", json={"name": "more", "type": "text"}
        )
        assert added.status_code == 201, added.text
        policy = {"name": "own", "using": "owner = (select auth.uid())"}
        made = await admin.post(f"/api/v1/tables/{name}/policies", json=policy)
        assert made.status_code == 201, made.text
        assert (await admin.delete(f"/api/v1/tables/{name}")).status_code == 204

    async def test_made_by_the_tables_api_are_the_consoles_too(self, admin: Caller):
        name = unique("t")
        body = {"name": name, "columns": [{"name": "id", "type": "serial"}]}
        assert (await admin.post("/api/v1/tables", json=body)).status_code == 201
        await run(
            admin,
            f"alter table {name} add column word text; insert into {name} (word) values ('x');"
            f"create policy everyone on {name} for select to anon using (true);"
            f"drop table {name}",
        )

    async def test_made_here_are_rows_of_the_api_at_once(
        self, admin: Caller, client: httpx.AsyncClient, api_keys: dict[str, str]
    ):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int primary key); insert into {name} values (7);"
            f"create policy everyone on {name} for select to anon using (true)",
        )
        headers = {"apikey": api_keys["anon"]}
        seen = await client.get(f"/rest/v1/{name}", headers=headers)
        assert seen.json() == [{"id": 7}]

    async def test_schemas_keys_to_accounts_and_trusted_extensions_may_be_made(
        self, admin: Caller, member: Caller
    ):
        name = unique("s")
        await run(
            admin,
            f"create schema {name}; create table {name}.t (id int,"
            f" owner uuid references auth.users (id) on delete cascade);"
            f"insert into {name}.t values (1, '{member.id}');"
            "create extension if not exists citext with schema extensions;"
            "select 'A'::citext = 'a', auth.uid()",
        )


class TestWhoMay:
    async def test_only_who_holds_the_permission(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller, service: Caller
    ):
        body = {"query": "select 1"}
        assert (await client.post(f"{SQL}/query", json=body)).status_code == 401
        assert (await member.post(f"{SQL}/query", json=body)).status_code == 403
        assert (await service.post(f"{SQL}/query", json=body)).status_code == 200
        await promoted(admin, member, await make_group(admin, "sql:execute"))
        assert (await member.post(f"{SQL}/query", json=body)).status_code == 200


class TestConcurrency:
    async def test_thirty_scripts_at_once_all_end(self, admin: Caller):
        name = unique("t")
        await run(admin, f"create table {name} (n int); insert into {name} values (0)")
        await asyncio.gather(
            *(run(admin, f"update {name} set n = n + 1 where true") for _ in range(30))
        )
        assert await value(admin, f"select n from {name}") == 30
