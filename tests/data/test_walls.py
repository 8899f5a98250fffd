"""What SQL tries that runs inside a call of the rows API: other roles, other callers, tokens.

The function below stands for every function, trigger or policy that runs text a caller wrote.
"""

from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.data.sql_support import run
from tests.fixtures.actors import Caller, settled, unique
from tests.fixtures.app import make_client, running
from undercroft.app import create_app
from undercroft.foundation.settings import Settings

INJECTED = """
    create function {name}(q text) returns text language plpgsql as $$
    declare answer text;
    begin
        execute q into answer;
        return answer;
    end $$;
    grant execute on function {name}(text) to anon, authenticated;
"""


class Hole:
    """A function that runs what it is given, as whoever calls it."""

    def __init__(self, name: str, client: httpx.AsyncClient, anon_key: str) -> None:
        self.path = f"/rest/v1/rpc/{name}"
        self.name = name
        self._client = client
        self._anonymous = {"apikey": anon_key}

    async def run(self, sql: str, caller: Caller | None = None) -> httpx.Response:
        if caller is None:
            return await self._client.post(self.path, json={"q": sql}, headers=self._anonymous)
        return await caller.post(self.path, json={"q": sql})

    async def value(self, sql: str, caller: Caller | None = None) -> Any:
        response = await self.run(sql, caller)
        assert response.status_code == 200, response.text
        return response.json()


@pytest_asyncio.fixture
async def hole(admin: Caller, client: httpx.AsyncClient, api_keys: dict[str, str]) -> Hole:
    name = unique("hole")
    await run(admin, INJECTED.format(name=name))
    return Hole(name, client, api_keys["anon"])


class TestOtherRoles:
    @pytest.mark.parametrize(
        "attempt",
        [
            "set role service_role",
            "set local role service_role",
            "select set_config('role', 'service_role', true)",
            "select set_config('role', 'service_role', false)",
            "reset role; set role service_role",
            "set role none; set role service_role",
            "set role undercroft",
            "set role undercroft_authenticator",
            "set role undercroft_developer",
            "set role postgres",
            "set session authorization service_role",
            "reset session authorization; set role service_role",
            "reset role; alter role current_user bypassrls",
            "reset role; grant service_role to current_user",
            "reset role; grant service_role to anon",
            "reset role; create role mine",
            "do $$ begin perform set_config('role', 'service_role', true); end $$",
            "create extension dblink",
            "create extension postgres_fdw",
            "copy (select 1) to program 'id'",
            "copy (select 1) to '/tmp/x'",
            "select pg_read_file('/etc/passwd')",
            "select pg_ls_dir('.')",
            "select lo_import('/etc/passwd')",
        ],
    )
    async def test_are_out_of_reach(self, hole: Hole, member: Caller, attempt: str):
        for caller in (None, member):
            response = await hole.run(attempt, caller)
            assert response.status_code in (400, 401, 403), response.text
            assert response.json()["code"] in {"42501", "22023", "0LP01", "42704"}, response.text

    @pytest.mark.parametrize(
        "attempt",
        [
            "select undercroft.act_as_service_role('{}', 'select 1', array['x'])",
            "select undercroft.count_as_service_role('{}', 'select 1', array['x'])",
            "select undercroft.sees_file_as_service_role('{}', gen_random_uuid())",
            "select undercroft.as_developer('select 1', 'public', '1s')",
            "select undercroft.hand_over('anon')",
            "select undercroft.change_our_policies('select 1', '1s')",
            "select undercroft.storage_count(gen_random_uuid(), 1, 1)",
            "select undercroft.grant_by_policies('auth.users'::regclass)",
            "select auth.holds(gen_random_uuid(), 'x')",
            "select 1 from undercroft.idempotency_keys",
            "select 1 from auth.users",
        ],
    )
    async def test_nor_by_the_platforms_own_functions(self, hole: Hole, attempt: str):
        """The login itself knows the way into that schema, which the caller's role does not."""
        for before in ("", "reset role; "):
            response = await hole.run(before + attempt)
            assert response.status_code == 401, response.text
            assert response.json()["code"] in {"42501", "42883"}, response.text

    async def test_nor_by_the_long_way(self, hole: Hole, admin: Caller, member: Caller):
        """Calls that take a transaction of several statements, and batches."""
        await run(
            admin,
            f"alter function {hole.name}(text) set default_transaction_isolation = 'serializable'",
        )
        response = await hole.run("set role service_role", member)
        assert response.json()["code"] == "42501", response.text
        step = {"op": "call", "function": hole.name, "body": {"q": "set role service_role"}}
        response = await member.post("/rest/v1/batch", json=[step])
        assert response.status_code == 403, response.text

    async def test_nor_by_a_trigger(self, admin: Caller, member: Caller):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int);"
            f"create policy p on {name} for insert to authenticated with check (true);"
            f"grant insert on {name} to authenticated;"
            f"create function {name}_f() returns trigger language plpgsql as"
            " $$ begin set local role service_role; return new; end $$;"
            f"create trigger t before insert on {name} execute function {name}_f()",
        )
        response = await member.post(f"/rest/v1/{name}", json={"id": 1})
        assert response.status_code == 403, response.text

    async def test_the_service_key_still_becomes_everybody(self, hole: Hole, service: Caller):
        for role in ("anon", "authenticated", "service_role"):
            assert await hole.value(f"set local role {role}; select current_user", service) == role

    async def test_sessions_of_the_service_key_are_nobody_elses(
        self, hole: Hole, member: Caller, service: Caller
    ):
        logins = {await hole.value("select session_user", caller) for caller in (None, member)}
        assert logins == {"undercroft_visitor"}
        assert await hole.value("select session_user", service) == "undercroft_authenticator"
        seen = (
            "select count(*) from pg_stat_activity where usename = 'undercroft_authenticator'"
            " and query not in ('<insufficient privilege>', '')"
        )
        for before in ("", "reset role; "):
            assert await hole.value(before + seen, member) == "0"
        ended = (
            "reset role; select count(pg_terminate_backend(pid)) from pg_stat_activity"
            " where usename = 'undercroft_authenticator'"
        )
        assert (await hole.run(ended, member)).json()["code"] == "42501"


LEFT = {
    "a search path": ("select set_config('search_path', 'nowhere', false)", "show search_path"),
    "a setting": (
        "select set_config('app.tenant', '7', false)",
        "select coalesce(current_setting('app.tenant', true), '')",
    ),
    "a time limit": (
        "select set_config('statement_timeout', '1ms', false)",
        "show statement_timeout",
    ),
    "no row security": ("select set_config('row_security', 'off', false)", "show row_security"),
    "reading only": (
        "select set_config('default_transaction_read_only', 'on', false)",
        "show default_transaction_read_only",
    ),
    "a method": ("select set_config('request.method', 'BREW', false)", "show request.method"),
    "a role": ("select set_config('role', 'authenticated', false)", "select current_user"),
    "a temporary table": (
        "create temp table pg_class (n int); select 1",
        "select count(*) from pg_class where relname = 'pg_class' and relpersistence = 't'",
    ),
    "a lock": (
        "select pg_advisory_lock(4711)",
        "select count(*) from pg_locks where locktype = 'advisory' and objid = 4711",
    ),
    "an open cursor": (
        "declare mine cursor with hold for select 1; select 1",
        "select count(*) from pg_cursors where is_holdable",
    ),
    "ears": ("listen mine; select 1", "select count(*) from pg_listening_channels()"),
    "a statement": (
        "prepare mine as select 1; select 1",
        "reset role; select count(*) from pg_prepared_statements where name = 'mine'",
    ),
}
EVERY_STATEMENT = """
    reset role;
    do $do$
    declare held record;
    begin
        for held in select name, statement from pg_prepared_statements loop
            execute format('deallocate %I', held.name);
            execute format('prepare %I as select 666', held.name);
        end loop;
    end $do$;
    select 1
"""


class TestTheNextCaller:
    """Connections are shared: what one call leaves behind, the next one would find."""

    @pytest.mark.parametrize("ends", ["well", "badly", "in a batch", "the long way"])
    @pytest.mark.parametrize("left", LEFT)
    async def test_finds_nothing_of_the_one_before(
        self, hole: Hole, admin: Caller, member: Caller, left: str, ends: str
    ):
        leave, look = LEFT[left]
        before = await hole.value(look, member)
        if ends == "the long way":
            setting = "default_transaction_isolation = 'repeatable read'"
            await run(admin, f"alter function {hole.name}(text) set {setting}")
        if ends == "in a batch":
            step = {"op": "call", "function": hole.name, "body": {"q": leave}}
            assert (await member.post("/rest/v1/batch", json=[step])).status_code == 200
        else:
            answer = await hole.run(leave if ends != "badly" else f"{leave}; select 1/0", member)
            assert answer.status_code == (400 if ends == "badly" else 200), answer.text

        async def found_nothing() -> bool:
            return bool(await hole.value(look, member) == before)

        # A session is cleaned beside its answer, and lent to nobody meanwhile. That locks are gone
        # may take until then.
        assert await settled(found_nothing)
        for _ in range(3):
            assert await found_nothing()

    @pytest.mark.parametrize(
        "attempt", [EVERY_STATEMENT, f"{EVERY_STATEMENT}; select 1/0", "deallocate all; select 1"]
    )
    async def test_gets_answers_of_their_own_statements(
        self, hole: Hole, member: Caller, outsider: Caller, attempt: str
    ):
        """Statements are prepared once for all callers of a role; a call may not replace them."""
        for number in range(3):
            assert await hole.value(f"select {number}", outsider) == str(number)
        await hole.run(attempt, member)
        for number in range(3):
            assert await hole.value(f"select {number}", outsider) == str(number)

    async def test_finds_nothing_of_a_trigger(self, admin: Caller, member: Caller, hole: Hole):
        name = unique("t")
        await run(
            admin,
            f"create table {name} (id int);"
            f"create policy p on {name} for insert to authenticated with check (true);"
            f"grant insert on {name} to authenticated;"
            f"create function {name}_f() returns trigger language plpgsql as"
            " $$ begin perform set_config('search_path', 'nowhere', false);"
            " perform pg_advisory_lock(815); return new; end $$;"
            f"create trigger t before insert on {name} execute function {name}_f()",
        )
        before = await hole.value("show search_path", member)
        assert (await member.post(f"/rest/v1/{name}", json={"id": 1})).status_code == 201
        assert await hole.value("show search_path", member) == before
        held = "select count(*) from pg_locks where locktype = 'advisory' and objid = 815"

        async def released() -> bool:
            return bool(await hole.value(held, member) == "0")

        assert await settled(released)

    async def test_a_function_may_make_a_temporary_table_in_every_call(
        self, hole: Hole, member: Caller
    ):
        backends = set()
        for _ in range(20):
            made = "create temp table mine (n int); insert into mine values (1);"
            backends.add(await hole.value(f"{made} select pg_backend_pid() from mine", member))
        assert len(backends) < 10  # which were cleaned, not replaced

    async def test_refused_requests_prepare_their_statement_once(
        self, hole: Hole, admin: Caller, member: Caller
    ):
        name = unique("t")
        await run(admin, f"create table {name} (id int)")
        count = "reset role; select pg_backend_pid() || ' ' || count(*) from pg_prepared_statements"

        async def prepared() -> dict[str, int]:
            """How many by session; whose turn it is depends on which has been cleaned already."""
            found = [(await hole.value(count, member)).split() for _ in range(10)]
            return {session: int(number) for session, number in found}

        before = await prepared()
        for _ in range(40):
            assert (await member.get(f"/rest/v1/{name}")).status_code == 403
        after = await prepared()
        assert before.keys() & after.keys()
        # What cleans a session is prepared too, after its first use.
        assert all(after[s] < before[s] + 20 for s in before.keys() & after.keys())


class TestTokens:
    async def test_functions_do_not_see_the_tokens_of_their_callers(
        self, hole: Hole, member: Caller, client: httpx.AsyncClient, api_keys: dict[str, str]
    ):
        headers = {
            "apikey": api_keys["anon"],
            "X-Session-Token": member.tokens["access_token"],
            "X-Mine": "kept",
        }
        body = {"q": "select current_setting('request.headers')"}
        response = await client.post(hole.path, json=body, headers=headers)
        seen = response.json()
        assert '"x-mine":"kept"' in seen
        assert member.tokens["access_token"] not in seen
        assert api_keys["anon"] not in seen
        answer = await member.post(hole.path, json=body)
        assert member.tokens["access_token"] not in answer.text


class TestTheLogin:
    async def test_a_password_or_defaults_that_a_call_changed_keep_nobody_out(
        self, hole: Hole, member: Caller, settings: Settings
    ):
        """A role may change its own; whoever starts next must not find the door closed."""
        try:
            await hole.run(
                "reset role; alter role current_user password 'known';"
                "alter role current_user set local_preload_libraries = 'nowhere';"
                "alter role current_user set default_transaction_read_only = on;"
                "alter role current_user set row_security = off;"
                "alter role current_user set search_path = nowhere",
                member,
            )
            async with running(create_app(settings)) as another, make_client(another) as client:
                made = {"q": f"create temp table {unique('t')} (); select 1"}
                answer = await client.post(
                    hole.path, json=made, headers={"Authorization": bearer(member)}
                )
                assert answer.status_code == 200, answer.text
                listed = {"q": "select current_setting('search_path')"}
                answer = await client.post(
                    hole.path, json=listed, headers={"Authorization": bearer(member)}
                )
                assert answer.json() == '"public", "public", "extensions"'
        finally:
            await hole.run("reset role; alter role current_user reset all", member)


def bearer(caller: Caller) -> str:
    return f"Bearer {caller.tokens['access_token']}"
