"""What somebody with the console tries: our schemas, other rights, transactions, sessions."""

import asyncpg
import pytest

from tests.data.sql_support import SQL, refused, run, value
from tests.fixtures.actors import Caller, unique
from tests.fixtures.outbox import Outbox
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
