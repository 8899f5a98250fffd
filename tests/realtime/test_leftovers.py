"""Nobody stays who may not, and nothing of what was refused."""

from typing import Any

from tests.fixtures.actors import make_group, promoted, register, unique
from tests.fixtures.live import broadcast, eventually
from tests.realtime.tables_support import changes
from tests.realtime.test_lost_connections import close_code


class TestDeepPayloads:
    async def test_are_refused_and_leave_nothing(self, line):
        room, other = unique("deep"), unique("other")
        deep: Any = 1
        for _ in range(251):
            deep = [deep]
        sender = await line()
        for name in (room, other):
            await sender.join(name, presence={"enabled": True, "key": "me"})
        track = {"type": "presence", "event": "track", "payload": {"deep": deep}}
        refused = await sender.ask(f"realtime:{room}", "presence", track)
        assert (refused["status"], refused["response"]["reason"]) == (
            "error",
            "The presence is too large",
        )
        for _ in range(10):
            deep = [deep]
        refused = await sender.ask(f"realtime:{room}", "broadcast", broadcast(deep=deep))
        assert refused["response"]["reason"] == "The payload is nested too deeply"
        shown = track | {"payload": {"a": 1}}
        assert (await sender.ask(f"realtime:{other}", "presence", shown))["status"] == "ok"
        await sender.connection.close()

        async def gone() -> bool:
            late = await line()
            await late.join(other, presence={"enabled": True, "key": "late"})
            state = (await late.hear("presence_state"))["payload"]
            await late.connection.close()
            return "me" not in state

        await eventually(gone)


class TestApiKeysOfPeople:
    async def test_end_with_their_account(self, line, client, admin, notes):
        person = await register(client, "maker")
        await promoted(admin, person, await make_group(admin, "api_keys:create"))

        async def made() -> Any:
            answer = await person.post("/api/v1/api-keys", json={"name": "k", "permissions": []})
            return answer.json() if answer.status_code == 201 else None

        key = (await eventually(made))["key"]
        socket = await line(key)
        await socket.follow("notes", changes(notes))
        await admin.post(f"/api/v1/users/{person.id}/deactivate")
        assert await close_code(socket) == 4001
