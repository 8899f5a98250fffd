"""Which tables clients may follow, decided over HTTP."""

import pytest

from tests.fixtures.actors import unique
from tests.fixtures.live import eventually


async def test_a_table_becomes_live_and_ends_to_be(service, owner, line, api_keys):
    name = unique("wares")
    await owner.execute(f"CREATE TABLE {name} (id int)")
    made = await service.put(f"/api/v1/realtime/tables/{name}")
    assert made.status_code == 200
    assert made.json() == {"schema": "public", "name": name, "whole_old_rows": True}
    assert (await service.put(f"/api/v1/realtime/tables/{name}")).status_code == 200
    listed = (await service.get("/api/v1/realtime/tables")).json()["items"]
    assert made.json() in listed
    socket = await line(api_keys["service_role"])
    await socket.follow("x", {"event": "*", "schema": "public", "table": name})
    await owner.execute(f"INSERT INTO {name} VALUES (1)")
    assert (await socket.change())["record"] == {"id": 1}
    assert (await service.delete(f"/api/v1/realtime/tables/{name}")).status_code == 204
    assert made.json() not in (await service.get("/api/v1/realtime/tables")).json()["items"]
    await owner.execute(f"UPDATE {name} SET id = 2")
    assert await socket.silent("postgres_changes")


async def test_only_customers_tables_can_be_live(service, member):
    for path in ("messages?schema=realtime", "users?schema=auth", "pg_class?schema=pg_catalog"):
        assert (await service.put(f"/api/v1/realtime/tables/{path}")).status_code == 404
    assert (await service.put("/api/v1/realtime/tables/missing")).status_code == 404
    assert (await service.delete("/api/v1/realtime/tables/missing")).status_code == 404
    assert (await member.put("/api/v1/realtime/tables/x")).status_code == 403


@pytest.mark.parametrize(
    "table",
    [
        "CREATE UNLOGGED TABLE {name} (id int)",
        "CREATE TABLE {name} (id int, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL)",
    ],
    ids=["unlogged", "virtual columns and no key"],
)
async def test_a_table_that_postgres_cannot_log_is_refused(service, owner, table):
    name = unique("wares")
    await owner.execute(table.format(name=name))
    refused = await service.put(f"/api/v1/realtime/tables/{name}")
    assert (refused.status_code, refused.json()["code"]) == (409, "table_not_watchable")
    await owner.execute(f"INSERT INTO {name} VALUES (1); UPDATE {name} SET id = 2")


async def test_computed_columns_are_told_and_nothing_is_in_the_way_of_writing(
    service, owner, line, api_keys
):
    name = unique("wares")
    await owner.execute(f"""
        CREATE TABLE {name} (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED);
        CREATE POLICY small ON {name} FOR SELECT TO anon USING (twice < 10)""")
    made = await service.put(f"/api/v1/realtime/tables/{name}")
    assert made.json()["whole_old_rows"] is True
    socket = await line()
    await socket.follow("x", {"event": "*", "schema": "public", "table": name})
    await owner.execute(f"INSERT INTO {name} VALUES (1), (9)")
    assert (await socket.change())["record"] == {"id": 1, "twice": 2}
    await owner.execute(f"DELETE FROM {name}")
    assert (await socket.change())["old_record"] == {"id": 1, "twice": 2}
    # Of virtual columns Postgres logs nothing, and whole old rows not any more.
    await owner.execute(f"ALTER TABLE {name} ADD COLUMN v int GENERATED ALWAYS AS (id) VIRTUAL")
    service_socket = await line(api_keys["service_role"])
    await service_socket.follow("x", {"event": "*", "schema": "public", "table": name})
    await owner.execute(f"INSERT INTO {name} VALUES (2); DELETE FROM {name}")
    assert (await socket.change())["record"] == {"id": 2, "twice": 4}
    heard = [await service_socket.change() for _ in range(2)]
    assert heard[1]["old_record"] == {"id": 2}


async def test_partitions_made_later_are_followed_and_can_be_written(service, owner, line):
    name = unique("parted")
    await owner.execute(f"""
        CREATE TABLE {name} (id int, part text) PARTITION BY LIST (part);
        CREATE TABLE {name}_a PARTITION OF {name} FOR VALUES IN ('a');
        CREATE POLICY all_of_it ON {name} FOR SELECT TO anon USING (true)""")
    assert (await service.put(f"/api/v1/realtime/tables/{name}")).status_code == 200
    socket = await line()
    await socket.follow("x", {"event": "*", "schema": "public", "table": name})
    await owner.execute(f"CREATE TABLE {name}_b PARTITION OF {name} FOR VALUES IN ('b')")
    await owner.execute(f"CREATE TABLE {name}_c (id int, part text)")
    await owner.execute(f"ALTER TABLE {name} ATTACH PARTITION {name}_c FOR VALUES IN ('c')")
    for part in "bc":
        await owner.execute(f"INSERT INTO {name} VALUES (1, '{part}')")
        await owner.execute(f"UPDATE {name} SET id = 2; DELETE FROM {name}")
        heard = [await socket.change() for _ in range(3)]
        assert [one["type"] for one in heard] == ["INSERT", "UPDATE", "DELETE"]
        assert {one["table"] for one in heard} == {name}
        assert heard[2]["old_record"] == {"id": 2, "part": part}
    assert (await service.delete(f"/api/v1/realtime/tables/{name}")).status_code == 204
    whole = "SELECT count(*) FROM pg_class WHERE relname LIKE $1 || '%' AND relreplident = 'f'"
    assert await owner.fetchval(whole, name) == 0


async def test_the_status_tells_that_changes_are_read(service, owner, live, member):
    name = unique("wares")
    await owner.execute(f"CREATE TABLE {name} (id int)")
    await service.put(f"/api/v1/realtime/tables/{name}")

    async def reads() -> bool:
        status = (await service.get("/api/v1/realtime/status")).json()
        return status["state"] == "reading" and status["detail"] is None

    assert await eventually(reads)
    assert (await member.get("/api/v1/realtime/status")).status_code == 403
    system = (await service.get("/api/v1/health/system")).json()
    [told] = [one for one in system["apps"] if one["name"] == "changes"]
    assert told["status"] == "ok"
