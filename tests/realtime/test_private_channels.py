"""Private channels: policies say who may hear and who may speak."""

import pytest

from tests.fixtures.actors import unique
from tests.fixtures.live import broadcast, eventually


@pytest.fixture
async def rooms(owner):
    """Policies on private topics: a person's own topic, and one that they may only hear."""
    name = unique("own")
    await owner.execute(f"""
        CREATE POLICY {name}_read ON realtime.messages FOR SELECT TO authenticated USING (
            (SELECT realtime.topic()) IN
                ('{name}:' || (SELECT auth.uid()), '{name}:news')
            AND realtime.messages.extension IN ('broadcast', 'presence'));
        CREATE POLICY {name}_write ON realtime.messages FOR INSERT TO authenticated WITH CHECK (
            topic = '{name}:' || (SELECT auth.uid()) AND extension = 'broadcast')""")
    yield name
    await owner.execute(
        f"DROP POLICY {name}_read ON realtime.messages;"
        f"DROP POLICY {name}_write ON realtime.messages"
    )


class TestPrivateChannels:
    async def test_open_by_policy_alone(self, line, rooms, member, outsider):
        topic = f"{rooms}:{member.id}"
        mine, theirs, nobodys = await line(), await line(), await line()
        joined = await mine.join(topic, private=True, token=member.tokens["access_token"])
        assert joined["status"] == "ok"
        token = outsider.tokens["access_token"]
        for refused in (
            await theirs.join(topic, private=True, token=token),
            await nobodys.join(topic, private=True),
        ):
            assert refused["status"] == "error"
            assert refused["response"]["reason"].startswith("Unauthorized")
        # A public channel of that name is another room.
        assert (await theirs.join(topic, token=token))["status"] == "ok"
        await mine.send(f"realtime:{topic}", "broadcast", broadcast(n=1))
        await mine.ask("phoenix", "heartbeat", {})
        assert await theirs.silent("broadcast")
        await theirs.send(f"realtime:{topic}", "broadcast", broadcast(n=2))
        await theirs.ask("phoenix", "heartbeat", {})
        assert await mine.silent("broadcast")

    async def test_may_be_heard_and_not_spoken_in(
        self, line, rooms, member, owner, client, api_keys
    ):
        topic, bearer = f"{rooms}:news", member.tokens["access_token"]
        mine = await line()
        await mine.join(topic, private=True, token=bearer, broadcast={"ack": True, "self": True})
        said = await mine.ask(f"realtime:{topic}", "broadcast", broadcast(n=1))
        assert said["status"] == "error"
        tracked = await mine.ask(f"realtime:{topic}", "presence", {"event": "track", "payload": {}})
        assert tracked["status"] == "error"
        headers = {"apikey": api_keys["anon"], "authorization": f"Bearer {bearer}"}
        path = f"/realtime/v1/api/broadcast/{topic}/events/x?private=true"
        assert (await client.post(path, json={}, headers=headers)).status_code == 403
        headers = {"apikey": api_keys["service_role"]}
        assert (await client.post(path, json={}, headers=headers)).status_code == 202
        assert (await mine.hear("broadcast"))["payload"]["event"] == "x"
        await owner.execute(f"SELECT realtime.send('{{}}', 'news', '{topic}')")
        assert (await mine.hear("broadcast"))["payload"]["event"] == "news"

    async def test_replay_what_was_stored(self, line, rooms, member, owner, client, api_keys):
        topic, bearer = f"{rooms}:{member.id}", member.tokens["access_token"]
        for number in range(3):
            await owner.execute(
                f"SELECT realtime.send('{{\"n\": {number}}}', 'e', '{topic}', true)"
            )
        headers = {"apikey": api_keys["service_role"]}
        path = f"/realtime/v1/api/broadcast/{topic}/events/e?private=true&persist=true"
        assert (await client.post(path, json={"n": 3}, headers=headers)).status_code == 202
        mine = await line()
        replay = {"since": 0, "limit": 2}
        await mine.join(topic, private=True, token=bearer, broadcast={"replay": replay})
        heard = [(await mine.hear("broadcast"))["payload"] for _ in range(2)]
        assert [one["payload"]["n"] for one in heard] == [2, 3]
        assert all(one["meta"]["replayed"] for one in heard)

    async def test_are_stored_by_their_own_right(
        self, line, rooms, member, owner, client, api_keys
    ):
        topic, bearer = f"{rooms}:{member.id}", member.tokens["access_token"]
        mine = await line()
        await mine.join(topic, private=True, token=bearer, broadcast={"ack": True})
        kept = broadcast(n=1) | {"persist": {"ttl": 60}}
        refused = await mine.ask(f"realtime:{topic}", "broadcast", kept)
        assert refused["status"] == "error"
        assert "Unauthorized" in refused["response"]["error"]
        headers = {"apikey": api_keys["anon"], "authorization": f"Bearer {bearer}"}
        path = f"/realtime/v1/api/broadcast/{topic}/events/x?private=true&persist=true"
        assert (await client.post(path, json={}, headers=headers)).status_code == 403
        await owner.execute(f"""ALTER POLICY {rooms}_write ON realtime.messages
            WITH CHECK (topic = '{topic}' AND extension IN ('broadcast', 'persistence'))""")

        async def stored() -> bool:
            return (await client.post(path, json={}, headers=headers)).status_code == 202

        await eventually(stored)
        nul = await client.post(path, content=rb'"\u0000"', headers=headers)
        assert (nul.status_code, nul.json()["error"]) == (
            422,
            "Postgres cannot keep this payload.",
        )

    async def test_end_when_the_policy_does(self, line, rooms, member, owner):
        topic = f"{rooms}:{member.id}"
        mine = await line()
        await mine.join(topic, private=True, token=member.tokens["access_token"])
        await owner.execute(f"ALTER POLICY {rooms}_read ON realtime.messages USING (false)")
        error = await mine.hear("phx_error")
        assert error["payload"]["reason"].startswith("Unauthorized")

    async def test_do_not_let_claims_be_chosen(self, line, rooms, member, outsider):
        mine = await line()
        payload = {
            "config": {"private": True},
            "access_token": outsider.tokens["access_token"],
            "claims": {"sub": member.id},
        }
        joined = await mine.ask(f"realtime:{rooms}:{member.id}", "phx_join", payload)
        assert joined["status"] == "error"
