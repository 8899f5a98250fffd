"""What somebody with the console tries: our schemas, other rights, the server, and time."""

import asyncio
from typing import Any

import asyncpg
import httpx
import pytest

from tests.data.test_sql import SQL, refused, run, value
from tests.fixtures.actors import Caller, settled, unique
from tests.fixtures.app import make_client
from tests.fixtures.engines import EngineAddresses
from tests.fixtures.outbox import Outbox
from undercroft.app import Application
from undercroft.foundation.db.logins import developer
from undercroft.foundation.settings import Settings

DENIED = {"42501", "0LP01", "22023", "42704", "3F000", "42883", "42P01", "25001", "58P01", "0A000"}


class TestOurSchemas:
    @pytest.mark.parametrize(
        "attempt",
        [
            "select * from auth.users",
            "select password_hash from auth.users",
            "select id from auth.users",
            "update auth.users set status = 'active'",
            "insert into auth.user_groups select * from auth.user_groups",
            "select * from auth.signing_keys",
            "select * from auth.api_keys",
            "select * from auth.refresh_tokens",
            "select * from notifications.messages",
            "select * from undercroft.sql_runs",
            "select * from undercroft.pgqueuer",
            "select undercroft.as_developer('select 1', 'public', '1s')",
            "alter function undercroft.as_developer(text, text, text) security invoker",
            "drop function undercroft.as_developer(text, text, text)",
            "select undercroft.hand_over('undercroft_developer')",
            "select undercroft.grant_by_policies('auth.users'::regclass)",
            "select auth.holds(gen_random_uuid(), 'x')",
            "copy auth.users to '/tmp/users'",
            "create table auth.mine ()",
            "create table undercroft.mine ()",
            "create function auth.uid() returns uuid language sql as 'select null::uuid'",
            "create or replace function auth.jwt() returns jsonb language sql as 'select null'",
            "create trigger t after insert on auth.users execute function x()",
            "create policy p on auth.users using (true)",
            "create view public.v{n} as select * from auth.users; select * from public.v{n}",
            "create rule r as on insert to auth.users do nothing",
            "alter table auth.users add column mine text",
            "alter table auth.users disable row level security",
            "create index on auth.users (email)",
            "create statistics s{n} on id, email from auth.users",
            "lock table auth.users",
            "lock table auth.users in access share mode",
            "truncate auth.users cascade",
            "drop schema auth cascade",
            "alter schema auth rename to mine",
            "grant select on auth.users to undercroft_developer",
            "create table c{n} () inherits (auth.users)",
            "create table c{n} (like auth.users); alter table c{n} inherit auth.users",
            "analyze auth.users; select * from pg_stats where schemaname = 'auth' and 1/0 = 1",
            "do $$ begin execute 'select 1 from auth.users'; end $$",
            (
                "create function f{n}() returns bigint language sql security definer"
                " as 'select count(*) from auth.users'; select f{n}()"
            ),
            (
                "create function f{n}() returns text language plpgsql as"
                " 'begin return (select max(email) from auth.users); end'; select f{n}()"
            ),
            "explain select * from auth.users",
            "declare c cursor for select * from auth.users",
            "prepare p as select * from auth.users; execute p",
            "select query_to_xml('select * from auth.users', true, true, '')",
            "select table_to_xml('auth.users', true, true, '')",
            "select ts_stat('select to_tsvector(email) from auth.users')",
            "select * from json_populate_recordset(null::auth.users, '[]'), auth.users",
        ],
    )
    async def test_are_closed(self, admin: Caller, attempt: str):
        response = await admin.post(
            f"{SQL}/query", json={"query": attempt.replace("{n}", unique("h"))}
        )
        assert response.status_code == 422, response.text
        assert response.json()["sqlstate"] in DENIED | {"22012"}, response.text

    async def test_the_catalogue_tells_no_secret(self, admin: Caller):
        await refused(admin, "select rolpassword from pg_authid")
        await refused(admin, "select passwd from pg_shadow")
        await refused(admin, "select * from pg_user_mapping")
        seen = await value(
            admin,
            "select count(*) from pg_stat_activity where usename <> current_user"
            " and query not in ('<insufficient privilege>', '')",
        )
        assert seen == "0"
        stats = "select count(*) from pg_stats where schemaname in ('auth', 'undercroft')"
        assert await value(admin, stats) == "0"

    async def test_an_error_shows_no_row_of_ours(self, admin: Caller, member: Caller):
        name = unique("t")
        await run(admin, f"create table {name} (u uuid references auth.users (id))")
        problem = await refused(
            admin, f"insert into {name} values ('00000000-0000-4000-8000-000000000000')", 409
        )
        assert member.identifier not in str(problem)


class TestOtherRights:
    @pytest.mark.parametrize(
        "attempt",
        [
            "set role undercroft",
            "set role postgres",
            "set role service_role",
            "set role anon",
            "set session authorization undercroft",
            "set session authorization default; reset role; select * from auth.users",
            "reset role; select * from auth.users",
            "reset session authorization; select * from auth.users",
            "select set_config('role', 'undercroft', false)",
            "select set_config('session_authorization', 'postgres', false)",
            "set local role none; select * from auth.users",
            "do $$ begin execute 'set role undercroft'; end $$",
            "alter role undercroft_developer superuser",
            "alter role undercroft_developer bypassrls",
            "alter role undercroft_developer createrole",
            "alter role undercroft password 'x'",
            "create role mine{n}",
            "create user mine{n} superuser",
            "grant undercroft to undercroft_developer",
            "grant service_role to undercroft_developer",
            "grant pg_read_server_files to undercroft_developer",
            "alter function pg_catalog.now() owner to undercroft_developer",
            (
                "create function f{n}() returns int language sql security definer as 'select 1';"
                " alter function f{n}() owner to undercroft"
            ),
            "create table t{n} (); alter table t{n} owner to undercroft",
            "create schema authorization undercroft",
            "alter default privileges for role undercroft grant all on tables to public",
            "alter database undercroft set search_path = public",
            "alter role undercroft set search_path = public",
            "alter role all set search_path = public",
            "alter system set shared_buffers = '1GB'",
            "select pg_reload_conf()",
            "select pg_read_file('/etc/passwd')",
            "select pg_read_binary_file('postgresql.conf')",
            "select pg_ls_dir('.')",
            "select pg_stat_file('.')",
            "select lo_import('/etc/passwd')",
            "select lo_export(1, '/tmp/x')",
            "copy (select 1) to program 'id'",
            "copy (select 1) to '/tmp/x'",
            "create table t{n} (l text); copy t{n} from '/etc/passwd'",
            "create table t{n} (l text); copy t{n} from program 'id'",
            "create extension dblink",
            "create extension postgres_fdw",
            "create extension file_fdw",
            "create extension pageinspect",
            "create extension adminpack",
            "create language plpython3u",
            "create function f{n}() returns int language c as 'libc', 'system'",
            "create function f{n}(internal) returns int language internal as 'pg_read_file'",
            "create event trigger e{n} on ddl_command_end execute function x()",
            "drop event trigger undercroft_ddl",
            "alter event trigger undercroft_ddl disable",
            "create publication p{n} for all tables",
            "create subscription s{n} connection 'host=/tmp' publication p",
            "select pg_create_logical_replication_slot('s{n}', 'test_decoding')",
            "select pg_create_physical_replication_slot('s{n}')",
            "select pg_drop_replication_slot('s')",
            "select pg_logical_emit_message(true, 'a', 'b') where false; select pg_switch_wal()",
            "select pg_promote()",
            "create server s{n} foreign data wrapper postgres_fdw",
            "create tablespace t{n} location '/tmp'",
            "create database d{n}",
            "load '$libdir/auto_explain'",
            "set session_preload_libraries = 'x'",
            "set log_statement = 'none'",
            "set session_replication_role = replica",
            "set zero_damaged_pages = on",
            "checkpoint",
            "create access method a{n} type table handler heap_tableam_handler",
            "create cast (text as int4) with function length(text) as implicit",
            "create transform for int language sql (from sql with function x(internal))",
            "comment on database undercroft is 'x'",
            "security label on table auth.users is 'x'",
            "update pg_class set relowner = relowner",
            "delete from pg_catalog.pg_proc",
            "insert into pg_catalog.pg_authid values (1)",
            "drop owned by undercroft",
            "reassign owned by undercroft to undercroft_developer",
        ],
    )
    async def test_are_out_of_reach(self, admin: Caller, attempt: str):
        response = await admin.post(
            f"{SQL}/query", json={"query": attempt.replace("{n}", unique("h"))}
        )
        assert response.status_code in {409, 422}, response.text
        body = response.json()
        assert body["code"] in {"sql_failed", "sql_conflict", "statement_not_allowed"}

    async def test_it_is_a_member_of_nobody(self, admin: Caller):
        assert await value(admin, "select session_user || current_user") == (
            "undercroft_developer" * 2
        )
        member_of = (
            "select count(*) from pg_auth_members m"
            " where m.member = 'undercroft_developer'::regrole"
        )
        assert await value(admin, member_of) == "0"

    async def test_backends_of_others_are_not_ended(self, admin: Caller):
        query = (
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where usename = 'undercroft' and datname = current_database()"
        )
        await refused(admin, query)


class TestTransactions:
    @pytest.mark.parametrize(
        "attempt",
        [
            "insert into {t} values (1); commit; select 1/0",
            "insert into {t} values (1); CoMMit and chain; select 1/0",
            "insert into {t} values (1); /* a */ end; begin; select 1/0",
            "insert into {t} values (1); commit prepared 'x'",
            "insert into {t} values (1); prepare /* b */ transaction 'x'",
            "insert into {t} values (1); rollback",
            "insert into {t} values (1); savepoint a; rollback to a; select 1/0",
            "insert into {t} values (1); do $$ begin commit; end $$; select 1/0",
            "insert into {t} values (1); do $$ begin rollback; end $$",
            (
                "create procedure {t}_p() language plpgsql as 'begin insert into {t} values (1);"
                " commit; end'; call {t}_p(); select 1/0"
            ),
            "insert into {t} values (1); do $$ begin execute 'commit'; end $$",
            "insert into {t} values (1); start transaction",
            "insert into {t} values (1); abort",
        ],
    )
    async def test_are_not_the_scripts_to_end(self, admin: Caller, attempt: str):
        name = unique("t")
        await run(admin, f"create table {name} (n int)")
        await refused(admin, attempt.format(t=name))
        assert await value(admin, f"select count(*) from {name}") == "0"

    @pytest.mark.parametrize(
        "attempt",
        ["copy {t} from stdin", "copy {t} to stdout", "COPY {t} TO /* x */ STDOUT", "listen x"],
    )
    async def test_what_needs_a_client_is_refused(self, admin: Caller, attempt: str):
        name = unique("t")
        await run(admin, f"create table {name} (n int)")
        problem = await refused(admin, attempt.format(t=name))
        assert problem["code"] == "statement_not_allowed"


class TestSessions:
    async def test_leave_nothing_to_the_next_script(self, admin: Caller):
        name = unique("t")
        await run(
            admin,
            f"create temporary table {name} (n int); set search_path = nowhere;"
            f"prepare {name}_p as select 1; select pg_advisory_lock(4711);"
            'set statement_timeout = 0; set request.jwt.claims = \'{"sub": "x"}\';'
            f"set default_transaction_read_only = on;"
            f"declare {name}_c cursor with hold for select 1",
        )
        assert await value(admin, f"select to_regclass('pg_temp.{name}') is null")
        assert await value(admin, "show search_path") == '"public", "extensions"'
        assert (await refused(admin, f"execute {name}_p"))["sqlstate"] == "26000"
        assert await value(admin, "select pg_try_advisory_lock(4711)")
        assert await value(admin, "show statement_timeout") == "30s"
        assert await value(admin, "select current_setting('request.jwt.claims', true)") in {
            None,
            "",
        }
        assert await value(admin, "show transaction_read_only") == "off"
        assert await value(admin, "select count(*) from pg_cursors where name <> ''") == "0"

    async def test_defaults_of_the_role_do_not_outlive_the_script(self, admin: Caller):
        await run(
            admin,
            "alter role current_user set search_path = nowhere;"
            "alter role current_user set local_preload_libraries = 'nowhere';"
            "alter role current_user set statement_timeout = 0;"
            "alter role current_user set default_transaction_read_only = on",
        )
        kept = "select count(*) from pg_db_role_setting where setrole = current_user::regrole"
        assert await value(admin, kept) == "0"
        assert await value(admin, "show search_path") == '"public", "extensions"'

    async def test_a_changed_password_is_taken_back(self, admin: Caller, settings: Settings):
        await run(admin, "alter role current_user password 'known'")
        login = developer(settings)
        known = login.url.replace(login.password or "", "known")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(known)
        assert await value(admin, "select 1") == 1


class TestTime:
    @pytest.mark.parametrize(
        "endless",
        [
            "select pg_sleep(600)",
            "set statement_timeout = 0; select pg_sleep(600)",
            "select set_config('statement_timeout', '0', false); select pg_sleep(600)",
            "with recursive r(n) as (select 1 union all select n + 1 from r) select max(n) from r",
            (
                "set statement_timeout = 0; do $$ begin loop"
                " begin perform pg_sleep(60); exception when query_canceled then null; end;"
                " end loop; end $$"
            ),
            (
                "set statement_timeout = 0; set client_connection_check_interval = 0;"
                " do $$ begin loop begin loop null; end loop;"
                " exception when query_canceled then null; end; end loop; end $$"
            ),
        ],
    )
    async def test_is_over_when_it_is_over(
        self, admin: Caller, endless: str, engines: EngineAddresses, database: str
    ):
        problem = await refused(admin, endless, timeout=0.3)
        assert problem["sqlstate"] == "57014"
        assert await settled(lambda: nothing_runs(engines, database), 5)

    async def test_a_lock_is_not_waited_for_long(
        self, admin: Caller, engines: EngineAddresses, database: str
    ):
        name = unique("t")
        await run(admin, f"create table {name} (n int)")
        holder = await asyncpg.connect(engines.superuser_database_url(database))
        try:
            async with holder.transaction():
                await holder.execute(f"lock table {name}")
                problem = await refused(
                    admin, f"set lock_timeout = '100ms'; select * from {name}", 409
                )
        finally:
            await holder.close()
        assert problem["sqlstate"] == "55P03"

    async def test_a_caller_who_hangs_up_ends_the_script(
        self,
        app: Application,
        admin: Caller,
        engines: EngineAddresses,
        database: str,
    ):
        word = unique("gone")
        body = {"query": f"set statement_timeout = 0; select pg_sleep(600), '{word}'"}
        headers = {"Authorization": f"Bearer {admin.tokens['access_token']}"}
        left = asyncio.Event()
        started = asyncio.create_task(hang_up(app, body, headers, left))
        assert await settled(lambda: runs(engines, database, word), 5)
        left.set()
        await started
        assert await settled(lambda: nothing_runs(engines, database), 5)

        async def written() -> bool:
            items = (await admin.get(f"{SQL}/history?search={word}")).json()["items"]
            return [item["outcome"] for item in items] == ["cancelled"]

        assert await settled(written)


async def hang_up(
    app: Application, body: dict[str, Any], headers: dict[str, str], left: asyncio.Event
) -> None:
    """A request whose connection closes when `left` is set."""
    import json

    messages = iter([{"type": "http.request", "body": json.dumps(body).encode()}])

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        pass

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": f"{SQL}/query",
        "raw_path": f"{SQL}/query".encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("undercroft.test", 80),
        "client": ("127.0.0.1", 50000),
        "headers": [
            (b"content-type", b"application/json"),
            *((name.lower().encode(), text.encode()) for name, text in headers.items()),
        ],
    }
    await app(scope, receive, send)


async def counted(engines: EngineAddresses, database: str, condition: str) -> int:
    connection = await asyncpg.connect(engines.superuser_database_url(database))
    try:
        return int(
            await connection.fetchval(
                "select count(*) from pg_stat_activity where usename = 'undercroft_developer'"
                f" and datname = current_database() and {condition}"
            )
        )
    finally:
        await connection.close()


async def nothing_runs(engines: EngineAddresses, database: str) -> bool:
    return await counted(engines, database, "state <> 'idle'") == 0


async def runs(engines: EngineAddresses, database: str, word: str) -> bool:
    return await counted(engines, database, f"query like '%pg_sleep%{word}%'") > 0


class TestSize:
    async def test_a_gigabyte_in_one_value_does_not_reach_the_worker(self, admin: Caller):
        problem = await refused(admin, "select repeat('x', 1000 * 1000 * 1000)", 413)
        assert problem["code"] == "result_too_large"
        assert await value(admin, "select 1") == 1

    async def test_ten_thousand_statements_are_too_many(self, admin: Caller):
        problem = await refused(admin, "select 1;" * 10_000)
        assert problem["code"] == "script_too_long"

    async def test_ten_megabytes_are_too_long(self, admin: Caller):
        problem = await refused(admin, "select '" + "x" * 10_000_000 + "'")
        assert problem["code"] == "script_too_long"

    @pytest.mark.parametrize(
        "query",
        [
            "select " + "(" * 100_000 + "1" + ")" * 100_000,
            "select 1" + "+1" * 200_000,
            "select " + "not " * 200_000 + "true",
            "select * from " + "(select * from " * 20_000 + "t" + ") x" * 20_000,
            "select array" + "[" * 100_000 + "1" + "]" * 100_000,
            "create view v as select 1" + "+1" * 200_000,
        ],
        ids=["brackets", "sums", "nots", "subqueries", "arrays", "view"],
    )
    async def test_deep_nesting_is_refused_and_kills_nobody(self, admin: Caller, query: str):
        problem = await refused(admin, query)
        assert problem["sqlstate"] in {"42601", "54001"}

    @pytest.mark.parametrize("query", ["select 'a\u0000b'", "select '\ud800'"])
    async def test_what_is_no_text_is_refused(self, admin: Caller, query: str):
        body = '{"query": "' + query.encode("unicode_escape").decode() + '"}'
        response = await admin.post(
            f"{SQL}/query",
            content=body.replace("\\x00", "\\u0000"),
            headers={"Content-Type": "application/json"},
        )
        assert response.status_code == 422, response.text


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
        column = {"name": "who", "type": "text", "default": f"public.{name}_f()"}
        added = await admin.post(f"/api/v1/tables/{name}/columns", json=column)
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
            column = {"name": "who", "type": "text", "default": f"public.{name}_f()"}
            added = await admin.post(f"/api/v1/tables/{name}/columns", json=column)
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
        column = {"name": "who", "type": "text", "default": f"public.{name}_f()"}
        added = await admin.post(f"/api/v1/tables/{name}/columns", json=column)
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
        column = {"name": "who", "type": "text", "default": f"public.{name}_f()"}
        for _ in range(3):
            await admin.post(f"/api/v1/tables/{name}/columns", json=column)
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
        column = {"name": "who", "type": "text", "default": f"public.{name}_f()"}
        await admin.post(f"/api/v1/tables/{name}/columns", json=column)

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


class TestChannels:
    async def test_nonsense_on_our_channels_disturbs_nobody(
        self, admin: Caller, member: Caller, outbox: Outbox
    ):
        """Anybody may NOTIFY: what is heard makes us look again, and is believed in nothing."""
        payloads = "unnest(array['', 'x', '*', '{}', '{\"type\": 1}', repeat('y', 7000)]) p"
        ours = ("undercroft_auth", "undercroft_keys", "undercroft_changes", "pgrst", "ch_pgqueuer")
        for channel in ours:
            await run(admin, f"select pg_notify('{channel}', p) from {payloads}")
        assert (await member.get("/api/v1/users/me")).status_code == 200
        wanted = {"identifier": member.identifier}
        asked = await member.post("/api/v1/auth/password-reset/request", json=wanted)
        assert asked.status_code < 300, asked.text
        assert await outbox.next(member.identifier)
