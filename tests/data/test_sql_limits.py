"""Scripts that take too long or are too large, and callers who leave."""

import asyncio

import asyncpg
import pytest

from tests.data.sql_support import SQL, refused, run, value
from tests.fixtures.actors import Caller, settled, unique
from tests.fixtures.engines import EngineAddresses
from tests.fixtures.hang_up import hang_up
from undercroft.app import Application


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
        assert await settled(lambda: nothing_runs(engines, database))

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
        started = asyncio.create_task(hang_up(app, f"{SQL}/query", body, headers, left))
        assert await settled(lambda: runs(engines, database, word))
        left.set()
        await started
        assert await settled(lambda: nothing_runs(engines, database))

        async def written() -> bool:
            items = (await admin.get(f"{SQL}/history?search={word}")).json()["items"]
            return [item["outcome"] for item in items] == ["cancelled"]

        assert await settled(written)


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
