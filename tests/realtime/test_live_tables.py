"""Which tables clients may follow, decided over HTTP."""

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
