"""Functions and triggers in versions, over HTTP."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.data.sql_support import run, value
from tests.fixtures.actors import Caller, unique
from tests.fixtures.engines import EngineAddresses
from tests.fixtures.lists import check_orders

FUNCTIONS = "/api/v1/functions"
TRIGGERS = "/api/v1/triggers"


def body_of(name: str, result: str = "'one'", arguments: str = "") -> str:
    return f"create function {name}({arguments}) returns text language sql as $$ select {result} $$"


async def make(
    admin: Caller, definition: str, *roles: str, path: str = FUNCTIONS
) -> dict[str, Any]:
    answer = await admin.post(path, json={"definition": definition, "roles": roles})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


class TestFunctions:
    async def test_are_called_by_whom_their_definition_names(
        self,
        admin: Caller,
        member: Caller,
        service: Caller,
        client: httpx.AsyncClient,
        api_keys: dict[str, str],
    ):
        name = unique("f")
        made = await make(admin, body_of(name), "authenticated")
        assert (made["version"], made["drifted"]) == (1, False)
        assert (await member.post(f"/rest/v1/rpc/{name}")).json() == "one"
        assert (await service.post(f"/rest/v1/rpc/{name}")).json() == "one"
        anonymous = await client.post(f"/rest/v1/rpc/{name}", headers={"apikey": api_keys["anon"]})
        assert anonymous.status_code in {401, 403, 404}, anonymous.text

    async def test_are_closed_unless_somebody_is_named(self, admin: Caller, member: Caller):
        name = unique("f")
        await make(admin, body_of(name))
        assert (await member.post(f"/rest/v1/rpc/{name}")).status_code in {401, 403, 404}

    async def test_change_is_a_new_version_and_restore_another(self, admin: Caller):
        name = unique("f")
        path = f"{FUNCTIONS}/{(await make(admin, body_of(name)))['id']}"
        changed = await admin.put(path, json={"definition": body_of(name, "'two'"), "version": 1})
        assert changed.status_code == 200, changed.text
        assert await value(admin, f"select {name}()") == "two"
        restored = await admin.post(f"{path}/restore", json={"version": 1})
        assert restored.json()["version"] == 3
        assert await value(admin, f"select {name}()") == "one"
        versions = (await admin.get(f"{path}/versions")).json()["items"]
        assert [one["version"] for one in versions] == [3, 2, 1]
        assert {one["created_by"] for one in versions} == {admin.id}
        await check_orders(admin, f"{path}/versions", ("version",), key="version")
        assert (await admin.post(f"{path}/restore", json={"version": 9})).status_code == 404

    async def test_a_stale_version_is_refused(self, admin: Caller):
        name = unique("f")
        path = f"{FUNCTIONS}/{(await make(admin, body_of(name)))['id']}"
        answers = await asyncio.gather(
            *(
                admin.put(path, json={"definition": body_of(name, f"'{n}'"), "version": 1})
                for n in range(20)
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
        headers = {"If-Match": '"1"'}
        late = await admin.put(path, json={"definition": body_of(name)}, headers=headers)
        assert late.status_code == 412

    async def test_twenty_creations_at_once_make_one(self, admin: Caller):
        name = unique("f")
        answers = await asyncio.gather(
            *(admin.post(FUNCTIONS, json={"definition": body_of(name)}) for _ in range(20))
        )
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19

    async def test_arguments_and_results_may_change(self, admin: Caller):
        name = unique("f")
        path = f"{FUNCTIONS}/{(await make(admin, body_of(name)))['id']}"
        for definition, call, expected in (
            (body_of(name, "x", "x text"), f"{name}('a')", "a"),
            (
                f"create function {name}(x text) returns int language sql as 'select 7'",
                f"{name}('a')",
                7,
            ),
        ):
            changed = await admin.put(path, json={"definition": definition})
            assert changed.status_code == 200, changed.text
            assert await value(admin, f"select {call}") == expected
        assert await value(admin, f"select count(*) from pg_proc where proname = '{name}'") == "1"

    async def test_what_depends_on_it_is_named_and_keeps_it(self, admin: Caller):
        name = unique("f")
        path = f"{FUNCTIONS}/{(await make(admin, body_of(name)))['id']}"
        await run(
            admin,
            f"create view {name}_v as select {name}() as v; create function {name}_c() returns text"
            f" language plpgsql as 'begin return {name}(); end'",
        )
        dependents = (await admin.get(path)).json()["dependents"]
        assert any(f"{name}_v" in line for line in dependents)
        assert any(f"{name}_c" in line for line in dependents)
        for answer in (
            await admin.delete(path),
            await admin.put(path, json={"definition": body_of(name, "x", "x text")}),
        ):
            assert answer.status_code == 409, answer.text
            assert answer.json()["dependents"]
        assert await value(admin, f"select {name}()") == "one"

    async def test_a_change_in_sql_is_noticed(self, admin: Caller):
        name = unique("f")
        path = f"{FUNCTIONS}/{(await make(admin, body_of(name)))['id']}"
        await run(admin, body_of(name, "'elsewhere'").replace("create", "create or replace", 1))
        found = (await admin.get(path)).json()
        assert found["drifted"] is True
        assert "elsewhere" in found["live"]
        await run(admin, f"drop function {name}()")
        gone = (await admin.get(path)).json()
        assert (gone["drifted"], gone["live"]) == (True, None)
        back = await admin.post(f"{path}/restore", json={"version": 1})
        assert back.json()["drifted"] is False
        assert (await admin.delete(path)).status_code == 204
        assert (await admin.get(path)).status_code == 404

    @pytest.mark.parametrize(
        "definition",
        [
            "select 1",
            "create function {n}() returns int language sql as 'select 1'; drop table x",
            "create procedure {n}() language sql as 'select 1'",
            "create function auth.{n}() returns int language sql as 'select 1'",
            "create function undercroft.{n}() returns int language sql as 'select 1'",
            "create function pg_catalog.{n}() returns int language sql as 'select 1'",
            "create function {n}() returns int language c as 'x', 'y'",
            "create function {n}() returns int language internal as 'pg_backend_pid'",
            "create function {n}() returns int language sql security definer as 'select 1'",
            "create function {n}() returns int language plpgsql as 'begin retrun 1; end'",
            "create function {n}() returns int language sql as 'select nothing'",
            "create function {n}() returns nonsense language sql as 'select 1'",
            "create function {n}(a int default 1"
            + "+1" * 20_000
            + ") returns int language sql as ''",
            "create table {n} ()",
            "",
            "create function {n}() returns text language sql as 'select ''a\u0000'''",
        ],
    )
    async def test_what_is_no_function_of_a_customer_is_refused(
        self, admin: Caller, definition: str
    ):
        name = unique("f")
        source = definition.replace("{n}", name)
        answer = await admin.post(FUNCTIONS, json={"definition": source})
        assert answer.status_code in {404, 422}, answer.text
        assert await value(admin, f"select count(*) from pg_proc where proname = '{name}'") == "0"

    async def test_run_with_the_rights_of_who_made_the_console_not_of_the_platform(
        self, admin: Caller, member: Caller
    ):
        name = unique("f")
        await make(
            admin,
            f"create function {name}() returns text language plpgsql security definer"
            " set search_path = '' as $$ declare seen text; begin"
            " begin execute 'select email from auth.users limit 1' into seen;"
            " exception when insufficient_privilege then seen := 'denied'; end;"
            " return current_user || ' ' || seen; end $$",
            "authenticated",
        )
        answer = await member.post(f"/rest/v1/rpc/{name}")
        assert answer.json() == "undercroft_developer denied"

    async def test_validation_keeps_nothing(self, admin: Caller):
        name = unique("f")
        good = await admin.post(f"{FUNCTIONS}/validate", json={"definition": body_of(name)})
        assert good.json()["valid"] is True, good.text
        assert name in good.json()["signature"]
        assert await value(admin, f"select count(*) from pg_proc where proname = '{name}'") == "0"
        wrong = await admin.post(
            f"{FUNCTIONS}/validate", json={"definition": body_of(name, "missing_column")}
        )
        assert wrong.status_code == 200
        assert (wrong.json()["valid"], wrong.json()["sqlstate"]) == (False, "42703")

    async def test_need_the_permission(self, member: Caller, client: httpx.AsyncClient):
        assert (await member.get(FUNCTIONS)).status_code == 403
        assert (await client.get(FUNCTIONS)).status_code == 401


class TestTriggers:
    async def test_are_made_changed_and_dropped(self, admin: Caller):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (n int); create function {name}_f() returns trigger"
            " language plpgsql as 'begin new.n := new.n + 1; return new; end'",
        )
        definition = (
            f"create trigger bump before insert on {name} for each row execute function {name}_f()"
        )
        path = f"{TRIGGERS}/{(await make(admin, definition, path=TRIGGERS))['id']}"
        assert await value(admin, f"insert into {name} values (1) returning n") == 2
        changed = await admin.put(
            path, json={"definition": definition.replace("insert", "update"), "version": 1}
        )
        assert changed.json()["version"] == 2, changed.text
        assert await value(admin, f"insert into {name} values (1) returning n") == 1
        assert (await admin.post(f"{path}/restore", json={"version": 1})).status_code == 200
        assert await value(admin, f"insert into {name} values (1) returning n") == 2
        assert (await admin.delete(path)).status_code == 204
        assert await value(admin, f"insert into {name} values (1) returning n") == 1

    async def test_stay_off_our_tables(self, admin: Caller):
        name = unique("t")
        await run(
            admin,
            f"create function {name}_f() returns trigger language plpgsql as"
            " 'begin return new; end'",
        )
        for table, schema in (("users", "auth"), ("sql_runs", "undercroft")):
            definition = (
                f"create trigger x before insert on {schema}.{table} for each row"
                f" execute function {name}_f()"
            )
            answer = await admin.post(TRIGGERS, json={"definition": definition})
            assert answer.status_code == 404, answer.text


async def test_lists_sort_and_search(admin: Caller):
    word = unique("sorted")
    for letter in "bca":
        source = f"create function {word}_{letter}() returns int language sql as 'select 1'"
        body = {"definition": source}
        assert (await admin.post("/api/v1/functions", json=body)).status_code == 201
    await check_orders(
        admin, "/api/v1/functions", ("created_at", "updated_at", "name"), search=word
    )
    found = await admin.get("/api/v1/functions", params={"search": word, "sort": "name"})
    assert [item["name"][-1] for item in found.json()["items"]] == ["a", "b", "c"]
    assert (await admin.get("/api/v1/triggers", params={"sort": "-name"})).status_code == 200


class TestBodies:
    async def hints(self, admin: Caller, source: str) -> list[str]:
        answer = await admin.post("/api/v1/functions/validate", json={"definition": source})
        assert answer.status_code == 200, answer.text
        assert answer.json()["valid"] is True, answer.text
        return list(answer.json()["hints"])

    async def test_unknown_tables_and_columns_are_named_by_line(self, admin: Caller):
        name = unique("books")
        await run(admin, f"create table {name} (id int, title text)")
        found = await self.hints(
            admin,
            f"create function {name}_f(n int) returns int language plpgsql as $$\n"
            "declare total int;\nbegin\n"
            f"select count(*) into total from {name}_nowhere where id = n;\n"
            f"update {name} set titel = 'x' where id = n;\n"
            f"if exists (select from {name} b where b.pages > total) then return 1; end if;\n"
            "return total;\nend $$",
        )
        assert len(found) == 3
        assert found[0].startswith("Line 4:")
        assert "nowhere" in found[0]
        assert "titel" in found[1]
        assert found[1].startswith("Line 5:")
        assert "pages" in found[2]

    async def test_what_is_there_or_comes_later_is_no_news(self, admin: Caller):
        name = unique("books")
        await run(admin, f"create table {name} (id int, title text)")
        whole = (
            f"create function {name}_f(n int, inout word text) language plpgsql as $$"
            " <<whole>> declare r record; total int := 0; begin"
            f" for r in select * from {name} b where b.title = word and b.id = {name}_f.n loop"
            f" insert into {name} (id, title) values (r.id + whole.total, upper(r.title));"
            " total := total + 1; exit whole when not found;"
            " end loop; perform pg_sleep(0); execute format('select 1 from %I', word);"
            " get diagnostics total = row_count;"
            f" with w as (select id from {name}) select count(*) into total from w;"
            " exception when others then word := sqlerrm; end $$"
        )
        assert await self.hints(admin, whole) == []
        makes = (
            f"create function {name}_g() returns int language plpgsql as $$ begin"
            " create temp table mine (n int) on commit drop; insert into mine values (1);"
            " return (select n from mine); end $$"
        )
        assert await self.hints(admin, makes) == []
        trigger = (
            f"create function {name}_t() returns trigger language plpgsql as $$ begin"
            f" insert into {name} (id, title) values (new.id, tg_op); return old; end $$"
        )
        assert await self.hints(admin, trigger) == []
        own_path = (
            f"create function {name}_o() returns bigint language plpgsql set search_path = public"
            f" as $$ begin return (select count(*) from {name}); end $$"
        )
        assert await self.hints(admin, own_path) == []

    async def test_what_is_assigned_is_read_too(self, admin: Caller):
        name = unique("books")
        found = await self.hints(
            admin,
            f"create function {name}_f(n int) returns int language plpgsql as $$\n"
            'declare r record; "ä :=" int[]; begin\n'
            f"n := (select 1 from {name}_a);\n"
            f"r.title = (select upper(title) from {name}_b);\n"
            f'"ä :="[n] := x from {name}_c;\n'
            f'"ä :="[n] := n + 1; r.a.b := r.b; n = n = 1; return n; end $$',
        )
        assert [one.partition(" does not")[0] for one in found] == [
            f'Line {line}: relation "{name}_{letter}"'
            for line, letter in ((3, "a"), (4, "b"), (5, "c"))
        ]

    async def test_one_locked_table_is_waited_for_once(
        self, admin: Caller, engines: EngineAddresses, database: str
    ):
        name = unique("books")
        await run(admin, f"create table {name} (id int)")
        source = (
            f"create function {name}_f() returns int language plpgsql as $$ begin"
            f" perform id from {name}; perform id from {name}_nowhere; return 1; end $$"
        )
        holder = await asyncpg.connect(engines.superuser_database_url(database))
        try:
            async with holder.transaction():
                await holder.execute(f"lock table {name}")
                assert await self.hints(admin, source) == []
        finally:
            await holder.close()
        assert len(await self.hints(admin, source)) == 1

    async def test_reading_a_body_runs_nothing_of_it(self, admin: Caller):
        name = unique("ran")
        await run(
            admin,
            f"create table {name} (who text);"
            f"create function {name}_f() returns int language plpgsql as"
            f" $$ begin insert into {name} values (current_user); return 1; end $$",
        )
        source = (
            f"create function {name}_g() returns int language plpgsql as $$ declare n int ="
            f" {name}_f(); begin perform {name}_f(); delete from {name}; return {name}_f(); end $$"
        )
        assert await self.hints(admin, source) == []
        count = await run(admin, f"select count(*) from {name}")
        assert count["results"][-1]["rows"] == [["0"]]
