"""Changes of tables, told to other servers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from tests.fixtures.actors import unique
from tests.fixtures.targets import Target, answer, target
from tests.webhooks.conftest import API, PATIENCE, Office
from tests.webhooks.test_webhooks import found, verified

Connection = "asyncpg.Connection[Any]"


@pytest_asyncio.fixture(scope="session")
async def listening(office: Office) -> AsyncIterator[None]:
    """Postgres' log is read as long as any table is watched, and from soon after that on."""
    async with a_table(office) as kept, target(answer()) as server:
        await office.webhook(server.url(), changes=kept.asked())
        while not server.heard:
            await kept.run("INSERT INTO TABLE_ SELECT count(*) FROM TABLE_")
            await asyncio.sleep(0.05)
        yield


@pytest_asyncio.fixture
async def table(office: Office, listening: None) -> AsyncIterator["Table"]:
    async with a_table(office) as table:
        yield table


class Table:
    def __init__(self, connection: Any, name: str) -> None:
        self.connection = connection
        self.name = name

    async def run(self, sql: str, *values: Any) -> None:
        await self.connection.execute(sql.replace("TABLE_", self.name), *values)

    def asked(self, **more: Any) -> list[dict[str, Any]]:
        return [{"table": self.name} | more]

    async def is_watched(self) -> bool:
        sql = "SELECT true FROM pg_publication_tables WHERE tablename = $1"
        return bool(await self.connection.fetchval(sql, self.name))


@asynccontextmanager
async def a_table(office: Office) -> AsyncIterator[Table]:
    url = office.settings.database.url
    assert url
    connection = await asyncpg.connect(url.get_secret_value())
    name = unique("orders")
    await connection.execute(
        f"CREATE TABLE public.{name}"
        " (id bigint PRIMARY KEY, status text, amount numeric, paid boolean, note text)"
    )
    yield Table(connection, name)
    await connection.execute(f"DROP TABLE public.{name}")
    await connection.close()


async def data(server: Target) -> dict[str, Any]:
    return dict(json.loads((await server.next()).body)["data"])


class TestTelling:
    async def test_rows_arrive_in_whole_and_signed(self, office: Office, table: Table):
        async with target(answer()) as server:
            made = await office.webhook(server.url(), changes=table.asked())
            await table.run("INSERT INTO TABLE_ VALUES (1, 'new', 10, false)")
            body = verified(made["secret"], await server.next())
            assert body["type"] == "row.inserted"
            told = body["data"]
            assert (told["schema"], told["table"]) == ("public", table.name)
            assert told["record"]["status"] == "new"
            assert (told["old_record"], told["truncated"]) == (None, False)
            await table.run("UPDATE TABLE_ SET status = 'paid'")
            body = verified(made["secret"], await server.next())
            assert body["type"] == "row.updated"
            statuses = (body["data"]["old_record"]["status"], body["data"]["record"]["status"])
            assert statuses == ("new", "paid")
            await table.run("DELETE FROM TABLE_")
            body = verified(made["secret"], await server.next())
            assert (body["type"], body["data"]["record"]) == ("row.deleted", None)
            assert body["data"]["old_record"]["id"] == 1

    async def test_numbers_keep_their_digits(self, office: Office, table: Table):
        digits = "12345678901234567890.123456789012345678"
        async with target(answer()) as server:
            await office.webhook(server.url(), changes=table.asked())
            await table.run(f"INSERT INTO TABLE_ VALUES (9007199254740993, 'x', {digits}, true)")
            body = (await server.next()).body
            assert digits.encode() in body
            assert b"9007199254740993" in body

    async def test_what_was_rolled_back_is_never_told(self, office: Office, table: Table):
        async with target(answer()) as server:
            await office.webhook(server.url(), changes=table.asked())
            await table.run("BEGIN; INSERT INTO TABLE_ VALUES (1, 'never'); ROLLBACK")
            await table.run("INSERT INTO TABLE_ VALUES (2, 'told')")
            assert (await data(server))["record"]["id"] == 2

    async def test_only_the_kinds_asked_for(self, office: Office, table: Table):
        async with target(answer()) as server:
            await office.webhook(
                server.url(), changes=table.asked(operations=["delete", "truncate"])
            )
            await table.run("INSERT INTO TABLE_ VALUES (1), (2); UPDATE TABLE_ SET note = 'x'")
            await table.run("DELETE FROM TABLE_ WHERE id = 1")
            assert (await data(server))["old_record"]["id"] == 1
            await table.run("TRUNCATE TABLE_")
            assert json.loads((await server.next()).body)["type"] == "table.truncated"

    @pytest.mark.parametrize(
        ("condition", "ids"),
        [
            ({"column": "status", "value": "paid"}, {2}),
            ({"column": "status", "op": "neq", "value": "paid"}, {1, 3}),
            ({"column": "amount", "op": "gt", "value": 10}, {2, 3}),
            ({"column": "amount", "op": "lte", "value": 10}, {1}),
            ({"column": "paid", "value": True}, {2}),
            ({"column": "amount", "value": True}, set()),
            ({"column": "note", "value": None}, {1, 2, 3}),
            ({"column": "status", "op": "in", "value": ["new", "gone"]}, {1, 3}),
            ({"column": "status", "op": "lt", "value": 5}, set()),
        ],
        ids=str,
    )
    async def test_only_the_rows_asked_for(
        self, office: Office, table: Table, condition: dict[str, Any], ids: set[int]
    ):
        async with target(answer()) as server:
            asked = [*table.asked(filter=condition), *table.asked(operations=["truncate"])]
            made = await office.webhook(server.url(), changes=asked)
            await table.run(
                "INSERT INTO TABLE_ VALUES"
                " (1, 'new', 1, false), (2, 'paid', 20, true), (3, 'gone', 20.5, false)"
            )
            await table.run("TRUNCATE TABLE_")
            await office.settled(made, "delivered", count=len(ids) + 1)
            told = [json.loads(heard.body)["data"]["record"] for heard in server.heard]
            assert {row["id"] for row in told if row} == ids

    async def test_a_large_row_is_told_by_its_key(self, office: Office, table: Table):
        async with target(answer()) as server:
            await office.webhook(server.url(), changes=table.asked())
            await table.run("INSERT INTO TABLE_ (id, note) VALUES (7, repeat('x', 1000000))")
            told = await data(server)
            assert (told["truncated"], told["record"]) == (True, {"id": 7})

    async def test_a_thousand_rows_arrive_once_each(self, office: Office, table: Table):
        async with target(answer()) as server:
            made = await office.webhook(
                server.url(), changes=table.asked(filter={"column": "status", "value": "told"})
            )
            await table.run(
                "INSERT INTO TABLE_ SELECT n, CASE WHEN n % 10 = 0 THEN 'told' END"
                " FROM generate_series(1, 1000) n"
            )
            await office.settled(made, "delivered", count=100)
            ids = [json.loads(heard.body)["data"]["record"]["id"] for heard in server.heard]
            assert sorted(ids) == list(range(10, 1001, 10))

    async def test_a_webhook_that_is_off_can_have_it_replayed(self, office: Office, table: Table):
        async with target(answer()) as server:
            made = await office.webhook(server.url(), changes=table.asked(), is_enabled=False)
            await table.run("INSERT INTO TABLE_ VALUES (1)")
            await office.settled(made, "skipped")
            path = f"{API}/{made['id']}"
            await office.admin.patch(path, json={"is_enabled": True})
            await office.admin.post(f"{path}/replay", json={"since": made["created_at"]})
            assert (await data(server))["record"]["id"] == 1


class TestAsking:
    async def test_a_table_is_watched_as_long_as_somebody_asks(self, office: Office, table: Table):
        first = await office.webhook("https://hooks.example.com/in", changes=table.asked())
        second = await office.webhook("https://hooks.example.com/in", changes=table.asked())
        assert first["changes"][0]["schema"] == "public"
        assert await table.is_watched()
        changed = await office.admin.patch(f"{API}/{first['id']}", json={"changes": []})
        assert changed.json()["changes"] == []
        assert await table.is_watched()
        await office.admin.delete(f"{API}/{second['id']}")
        assert not await table.is_watched()

    async def test_asking_and_leaving_at_once_ends_in_order(self, office: Office, table: Table):
        async def come_and_go() -> None:
            made = await office.webhook("https://hooks.example.com/in", changes=table.asked())
            assert (await office.admin.delete(f"{API}/{made['id']}")).status_code == 204

        await asyncio.gather(*[come_and_go() for _ in range(10)])
        assert not await table.is_watched()
        async with target(answer()) as server:
            await office.webhook(server.url(), changes=table.asked())
            await table.run("INSERT INTO TABLE_ VALUES (1)")
            assert (await data(server))["record"]["id"] == 1

    @pytest.mark.parametrize(
        "asked",
        [
            {"schema": "auth", "table": "users"},
            {"schema": "webhooks", "table": "webhooks"},
            {"schema": "pg_catalog", "table": "pg_authid"},
            {"schema": "storage", "table": "objects"},
            {"table": "nowhere"},
            {"table": 'x"; DROP TABLE y; --'},
            {"table": ""},
            {"table": "x", "operations": []},
            {"table": "x", "operations": ["select"]},
            {"table": "x", "filter": {"column": "a", "op": "in", "value": 1}},
            {"table": "x", "filter": {"column": "a", "op": "eq", "value": [1]}},
            {"table": "x", "filter": {"column": "a", "op": "like", "value": "x"}},
            {"table": "x", "filter": {"column": "a", "value": {"b": 1}}},
        ],
        ids=str,
    )
    async def test_other_tables_do_not_exist(self, office: Office, asked: dict[str, Any]):
        body = {"name": "x", "url": "https://hooks.example.com/in", "changes": [asked]}
        refused = await office.admin.post(API, json=body)
        assert refused.status_code == 422, refused.text

    async def test_a_filter_on_no_column_is_refused(self, office: Office, table: Table):
        made = await office.webhook("https://hooks.example.com/in", changes=table.asked())
        asked = table.asked()
        asked[0]["filter"] = {"column": "nowhere", "value": "x"}
        body = {"name": "x", "url": "https://hooks.example.com/in", "changes": asked}
        created = await office.admin.post(API, json=body)
        changed = await office.admin.patch(f"{API}/{made['id']}", json={"changes": asked})
        assert created.json()["code"] == changed.json()["code"] == "watched_column_unknown"
        assert "no column nowhere" in created.json()["detail"]

    async def test_a_locked_table_is_refused_and_not_waited_for(self, office: Office, table: Table):
        url = office.settings.database.url
        assert url
        other = await asyncpg.connect(url.get_secret_value())
        await other.execute(f"BEGIN; LOCK TABLE public.{table.name}")
        body = {
            "name": "x",
            "url": "https://hooks.example.com/in",
            "changes": table.asked(),
        }
        async with asyncio.timeout(PATIENCE):
            refused = await office.admin.post(API, json=body)
        assert refused.json()["code"] == "table_not_watchable"
        await other.execute("ROLLBACK")
        made = await office.webhook("https://hooks.example.com/in", changes=table.asked())
        await other.execute(f"BEGIN; LOCK TABLE public.{table.name}")
        refused = await office.admin.delete(f"{API}/{made['id']}")
        assert refused.json()["code"] == "table_not_watchable"
        await other.close()

    async def test_an_organization_has_no_tables(self, office: Office, table: Table):
        body = {
            "name": "x",
            "url": "https://hooks.example.com/in",
            "changes": table.asked(),
            "organization_id": await found(office.admin),
        }
        refused = await office.admin.post(API, json=body)
        assert refused.json()["code"] == "changes_not_of_organization"


@pytest.mark.parametrize(
    "odd", [r'{"a": "\u0000"}', "1e200000", r'"\ud800"', 5000 * "1", 3000 * "[" + 3000 * "]"]
)
async def test_of_what_only_json_columns_hold_arrive_and_stop_nobody(
    office: Office, table: Table, odd: str
):
    async with a_table(office) as other, target(answer()) as server, target(answer()) as elsewhere:
        await table.run("ALTER TABLE TABLE_ ADD COLUMN doc json")
        hook = await office.webhook(
            server.url(), changes=table.asked(filter={"column": "id", "value": 1})
        )
        await office.webhook(elsewhere.url(), changes=other.asked())
        insert = "INSERT INTO TABLE_ (id, doc) VALUES (1, $1::text::json)"
        await table.run(insert, odd)
        await other.run("INSERT INTO TABLE_ (id) VALUES (2)")
        assert odd.encode() in (await server.next()).body
        assert (await data(elsewhere))["record"]["id"] == 2
        delivery = (await office.settled(hook, "delivered"))[0]
        shown = await office.admin.get(f"{API}/{hook['id']}/deliveries/{delivery['id']}")
        assert shown.status_code == 200, shown.text
