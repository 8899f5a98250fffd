"""Code that customers leave behind never runs as the control plane, whatever it is called by."""

import asyncpg
import httpx
import pytest

from tests.data.sql_support import run, value
from tests.fixtures.actors import Caller, settled, unique
from tests.fixtures.app import make_client
from tests.fixtures.engines import EngineAddresses


def _path_trap(name: str) -> str:
    """A function that changes the session's search path, and operators that wait on it."""
    return (
        f"create table {name}_seen (who text); grant all on {name}_seen to public;"
        f"alter table {name}_seen disable row level security;"
        f"create function public.{name}_f() returns text language plpgsql as $$ begin"
        " perform set_config('search_path', 'public, pg_catalog', false);"
        " return current_user; end $$;"
        + "".join(
            f"create function public.{name}_{kind}({kind}, {kind}) returns bool language plpgsql as"
            f" $$ begin insert into public.{name}_seen values (current_user);"
            f" return $1 operator(pg_catalog.=) $2; end $$;"
            f"create operator public.= (leftarg = {kind}, rightarg = {kind},"
            f" function = public.{name}_{kind});"
            for kind in ("text", "uuid", "oid", "name")
        )
    )


def _path_release(name: str) -> str:
    kinds = ("text", "uuid", "oid", "name")
    return ";".join(f"drop operator public.= ({kind}, {kind})" for kind in kinds)


async def _add_default(admin: Caller, name: str) -> httpx.Response:
    """Give the table a column whose default calls its function, for every row there is."""
    column = {"name": "who", "type": "text", "default": f"public.{name}_f()"}
    return await admin.post(f"/api/v1/tables/{name}/columns", json=column)


class TestNames:
    async def test_functions_like_built_ins_are_not_ours_to_call(
        self, admin: Caller, client: httpx.AsyncClient
    ):
        """The control plane looks nothing up in schemas where others may create."""
        trap = "raise exception 'trapped as %', current_user"
        await run(
            admin,
            f"create function public.lower(varchar) returns text language plpgsql as"
            f" $$ begin {trap}; end $$;"
            f"create function public.trap(varchar, varchar) returns bool language plpgsql as"
            f" $$ begin {trap}; end $$;"
            "create operator public.= (leftarg = varchar, rightarg = varchar,"
            " function = public.trap);"
            f"create function public.count(varchar) returns bigint language plpgsql as"
            f" $$ begin {trap}; end $$",
        )
        try:
            async with make_client(client._transport.app) as anonymous:  # type: ignore[attr-defined]
                body = {"identifier": "root@example.com", "password": "wrong"}
                answer = await anonymous.post("/api/v1/auth/login", json=body)
                assert answer.status_code == 401, answer.text
            for path in ("/api/v1/users?search=root", "/api/v1/tables", "/api/v1/groups"):
                assert (await admin.get(path)).status_code == 200
        finally:
            await run(
                admin,
                "drop operator public.= (varchar, varchar); drop function public.lower(varchar),"
                " public.trap(varchar, varchar), public.count(varchar)",
            )

    async def test_defaults_and_checks_never_run_as_the_control_plane(self, admin: Caller):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int); insert into {name} values (1);"
            f"create function {name}_f() returns text language plpgsql as $$ begin"
            " begin execute 'reset role'; exception when others then null; end;"
            " begin execute 'set role undercroft'; exception when others then null; end;"
            " return current_user; end $$",
        )
        added = await _add_default(admin, name)
        assert added.status_code == 201, added.text
        assert await value(admin, f"select who from {name}") == "undercroft_developer"

    async def test_triggers_on_imported_rows_never_run_as_the_control_plane(self, admin: Caller):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int, who text);"
            f"create function {name}_f() returns trigger language plpgsql as $$ begin"
            " begin execute 'reset role'; exception when others then null; end;"
            " new.who = session_user || current_user; return new; end $$;"
            f"create trigger t before insert on {name} for each row execute function {name}_f()",
        )
        filled = await admin.post(
            f"/api/v1/tables/{name}/import",
            content=b"id\n1\n",
            headers={"Content-Type": "text/csv"},
        )
        assert filled.status_code == 200, filled.text
        assert await value(admin, f"select who from {name}") == "undercroft_developer" * 2

    async def test_a_search_path_that_a_default_sets_is_not_the_control_planes(self, admin: Caller):
        """With `public` before pg_catalog, its operators would run as whoever compares."""
        name = unique("t")
        await run(
            admin, _path_trap(name) + f"create table {name} (id int); insert into {name} values (1)"
        )
        try:
            added = await _add_default(admin, name)
            assert added.status_code == 201, added.text
            assert await value(admin, f"select who from {name}") == "undercroft_developer"
            for _ in range(20):
                assert (await admin.get("/api/v1/users?search=root")).status_code == 200
            assert await value(admin, f"select count(*) from {name}_seen") == "0"
        finally:
            await run(admin, _path_release(name))

    @pytest.mark.parametrize("relation", ["pg_attribute", "pg_class", "pg_namespace", "pg_policy"])
    async def test_temporary_views_like_the_catalogue_are_not_read_by_the_control_plane(
        self, admin: Caller, relation: str
    ):
        """Postgres looks for tables in pg_temp first, unless the path says where."""
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int); insert into {name} values (1);"
            f"create table {name}_seen (who text); grant all on {name}_seen to public;"
            f"create function public.{name}_seen() returns bool language plpgsql as"
            f" $$ begin insert into public.{name}_seen values (current_user); return true; end $$;"
            f"create function public.{name}_f() returns text language plpgsql as $$ begin execute"
            f" 'create temp view {relation} as select * from pg_catalog.{relation}"
            f" where public.{name}_seen()'; execute 'grant all on {relation} to public';"
            " return current_user; end $$",
        )
        added = await _add_default(admin, name)
        assert added.status_code < 500, added.text
        for path in ("tables", f"tables/{name}", f"tables/{name}/policies", "schema", "advisor"):
            assert (await admin.get(f"/api/v1/{path}")).status_code == 200
        assert await value(admin, f"select count(*) from {name}_seen") == "0"

    @pytest.mark.parametrize("ends", ["well", "badly"])
    async def test_statements_of_the_control_plane_are_not_prepared_anew(
        self, admin: Caller, ends: str
    ):
        """Who knows the name of a prepared statement could put another one in its place."""
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int); insert into {name} values (1);"
            f"create table {name}_seen (who text); grant all on {name}_seen to public;"
            f"create function public.{name}_s() returns bool language plpgsql as"
            f" $$ begin insert into public.{name}_seen values (current_user); return true; end $$;"
            f"create function public.{name}_f() returns text language plpgsql as $$"
            " declare held record; begin"
            " for held in select name from pg_prepared_statements loop"
            " execute format('deallocate %I', held.name);"
            f" execute format('prepare %I as select public.{name}_s()', held.name);"
            f" end loop; {'perform 1/0;' if ends == 'badly' else ''} return current_user; end $$",
        )
        for _ in range(3):
            await _add_default(admin, name)
            for path in ("tables", f"tables/{name}", "schema", "users", "users/me"):
                await admin.get(f"/api/v1/{path}")
        seen = await value(admin, f"select count(*) from {name}_seen")
        assert seen == "0"

    async def test_statements_taken_away_are_missed_by_one_request_at_most(self, admin: Caller):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int); insert into {name} values (1);"
            f"create function public.{name}_f() returns text language plpgsql as"
            " $$ begin deallocate all; return current_user; end $$",
        )
        await _add_default(admin, name)

        async def fine() -> bool:
            answers = [(await admin.get("/api/v1/tables")).status_code for _ in range(10)]
            return set(answers) == {200}

        assert await settled(fine)

    async def test_a_search_path_that_a_cascade_sets_is_not_the_control_planes(
        self, admin: Caller, member: Caller
    ):
        name = unique("t")
        await run(
            admin,
            _path_trap(name)
            + f"create table {name} (u uuid references auth.users (id) on delete cascade);"
            f"create function {name}_t() returns trigger language plpgsql as"
            f" $$ begin perform {name}_f(); return null; end $$;"
            f"create trigger t after delete on {name} for each row execute function {name}_t();"
            f"insert into {name} values ('{member.id}')",
        )
        try:
            gone = await admin.delete(f"/api/v1/users/{member.id}?hard=true")
            assert gone.status_code < 500, gone.text
            for _ in range(20):
                assert (await admin.get("/api/v1/users?search=root")).status_code == 200
            assert await value(admin, f"select count(*) from {name}_seen") == "0"
        finally:
            await run(admin, _path_release(name))

    async def test_functions_like_built_ins_are_not_called_by_the_login_of_the_rows(
        self, admin: Caller, service: Caller
    ):
        """It may become the service role; what runs before it becomes its caller must be ours."""
        name = unique("t")
        trap = "language plpgsql as $$ begin raise exception 'trapped as %', current_user; end $$;"
        await run(
            admin,
            f"create table {name} (id int); grant select on {name} to service_role;"
            f"create function public.array_length(text[], integer) returns integer {trap}"
            f"create function public.set_config(text, text, varchar) returns text {trap}"
            f"create function public.format(text, variadic text[]) returns text {trap}",
        )
        try:
            for prefer in ("timezone=UTC", "timezone=UTC, count=planned", "tx=rollback"):
                headers = {"Prefer": prefer}
                answer = await service.get(f"/rest/v1/{name}?select=id", headers=headers)
                assert answer.status_code < 300, answer.text
            plan = {"Accept": "application/vnd.pgrst.plan+json"}
            answer = await service.get(f"/rest/v1/{name}", headers=plan)
            assert "trapped" not in answer.text
        finally:
            await run(
                admin,
                "drop function public.array_length(text[], integer),"
                " public.set_config(text, text, varchar), public.format(text, variadic text[])",
            )

    async def test_a_setter_of_ones_own_is_not_called_for_the_search_path(self, admin: Caller):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int);"
            "create function public.set_config(text, varchar, boolean) returns text"
            " language plpgsql as $$ begin raise exception 'trapped as %', current_user; end $$",
        )
        try:
            added = await admin.post(
                f"/api/v1/tables/{name}/columns", json={"name": "a", "type": "text"}
            )
            assert added.status_code == 201, added.text
        finally:
            await run(admin, "drop function public.set_config(text, varchar, boolean)")

    async def test_functions_in_policies_of_files_never_run_as_the_control_plane(
        self, admin: Caller, member: Caller, service: Caller
    ):
        name, bucket = unique("t"), unique("bucket")
        await run(
            admin,
            _path_trap(name) + f"grant execute on function public.{name}_f() to public;"
            f"create function public.{name}_p() returns bool language plpgsql as $$ begin"
            " begin execute 'reset role'; exception when others then null; end;"
            " begin execute 'set role undercroft'; exception when others then null; end;"
            " begin execute 'set role service_role'; exception when others then null; end;"
            f" perform public.{name}_f();"
            f" insert into public.{name}_seen values ('policy ' || current_user);"
            " return true; end $$;"
            f"grant execute on function public.{name}_p() to authenticated",
        )
        policies = "/api/v1/tables/objects/policies?schema=storage"
        new = {"name": name, "using": f"bucket_id = '{bucket}' and public.{name}_p()"}
        try:
            made = await service.post("/storage/v1/bucket", json={"name": bucket})
            assert made.status_code == 200, made.text
            path = f"/storage/v1/object/{bucket}/a.txt"
            assert (await admin.post(policies, json=new)).status_code == 201
            assert (await member.post(path, content=b"one")).status_code == 200
            assert (await member.get(path)).status_code == 200
            listed = await member.post(f"/storage/v1/object/list/{bucket}", json={"prefix": ""})
            assert [entry["name"] for entry in listed.json()] == ["a.txt"]
            assert (await member.delete(path)).status_code == 200
            seen = await run(admin, f"select distinct who from {name}_seen")
            names = {row[0] for row in seen["results"][0]["rows"]}
            assert "policy authenticated" in names
            assert names <= {"policy authenticated", "authenticated"}
        finally:
            await admin.delete(f"/api/v1/tables/objects/policies/{name}?schema=storage")
            await run(admin, _path_release(name))

    async def test_triggers_of_rows_that_go_with_an_account_run_as_the_developer(
        self, admin: Caller, member: Caller, engines: EngineAddresses, database: str
    ):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (u uuid references auth.users (id) on delete cascade);"
            f"create table {name}_seen (who text);"
            f"create function {name}_f() returns trigger language plpgsql as $$ begin"
            " begin execute 'reset role'; exception when others then null; end;"
            f" insert into {name}_seen values (current_user); return null; end $$;"
            f"create trigger t after delete on {name} for each row execute function {name}_f();"
            f"insert into {name} values ('{member.id}')",
        )
        owner = await asyncpg.connect(engines.database_url(database))
        try:
            await owner.execute("delete from auth.users where id = $1", member.id)
        finally:
            await owner.close()
        seen = (await run(admin, f"select who from {name}_seen"))["results"][0]["rows"]
        assert seen == [["undercroft_developer"]]
