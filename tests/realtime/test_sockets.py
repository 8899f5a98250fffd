"""Broadcast, presence, sessions, and what a socket does not put up with."""

import asyncio
import json
import struct
from contextlib import suppress
from datetime import timedelta
from urllib.parse import quote
from uuid import UUID

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fixtures.actors import register, sign_in, unique
from tests.fixtures.live import broadcast, eventually
from undercroft.foundation.clock import utc_now
from undercroft.identity.auth.tokens import Subject, TokenType
from undercroft.realtime import metrics


class TestOpening:
    @pytest.mark.parametrize("key", ["", "nonsense", "eyJhbGciOiJub25lIn0.e30."])
    async def test_needs_an_api_key(self, live, key, caplog):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(live.socket_url(key))
        assert refusal.value.response.status_code == 401
        # Whoever knocks must not fill the log.
        assert [line.message for line in caplog.records if line.levelname == "ERROR"] == []

    async def test_refuses_the_token_of_a_person_in_the_address(self, live, member):
        with pytest.raises(InvalidStatus):
            await connect(live.socket_url(member.tokens["access_token"]))

    async def test_knows_two_versions(self, live, api_keys):
        with pytest.raises(InvalidStatus) as refusal:
            await connect(live.socket_url(api_keys["anon"], "3.0.0"))
        assert refusal.value.response.status_code == 404

    async def test_speaks_arrays_in_version_two(self, live, api_keys):
        async with connect(live.socket_url(api_keys["anon"], "2.0.0")) as connection:
            await connection.send(json.dumps([None, "7", "phoenix", "heartbeat", {}]))
            answer = json.loads(await connection.recv())
            assert answer == [None, "7", "phoenix", "phx_reply", {"status": "ok", "response": {}}]


class TestBroadcast:
    async def test_reaches_the_others_in_the_room(self, line):
        alice, bob, eve = await line(), await line(), await line()
        room, other = unique("room"), unique("room")
        for one in (alice, bob):
            assert (await one.join(room))["status"] == "ok"
        await eve.join(other)
        await alice.send(f"realtime:{room}", "broadcast", broadcast(n=1))
        heard = await bob.hear("broadcast")
        assert heard["payload"] == broadcast(n=1)
        assert heard["ref"] is None
        assert await alice.silent("broadcast")
        assert await eve.silent("broadcast")

    async def test_comes_back_and_is_acknowledged_when_asked_for(self, line):
        alice, room = await line(), unique("room")
        await alice.join(room, broadcast={"self": True, "ack": True})
        answer = await alice.ask(f"realtime:{room}", "broadcast", broadcast(n=1))
        assert answer["status"] == "ok"
        assert (await alice.hear("broadcast"))["payload"] == broadcast(n=1)

    async def test_carries_bytes_between_those_who_can(self, live, line, api_keys):
        room = unique("room")
        topic = f"realtime:{room}"
        plain = await line()
        await plain.join(room)
        url = live.socket_url(api_keys["anon"], "2.0.0")
        async with connect(url) as sender, connect(url) as hearer:
            for one in (sender, hearer):
                await one.send(json.dumps(["1", "1", topic, "phx_join", {"config": {}}]))
                assert json.loads(await one.recv())[3] == "phx_reply"
                assert json.loads(await one.recv())[3] == "presence_state"
            head = struct.pack(">7B", 3, 1, 1, len(topic), 2, 0, 0)
            await sender.send(head + b"1" + b"2" + topic.encode() + b"hi" + b"\x00\xff")
            frame = await hearer.recv()
            assert (
                frame
                == struct.pack(">5B", 4, len(topic), 2, 0, 0) + f"{topic}hi".encode() + b"\x00\xff"
            )
            head = struct.pack(">7B", 3, 1, 1, len(topic), 2, 0, 1)
            await sender.send(head + b"1" + b"3" + topic.encode() + b"hi" + b'{"n":1}')
            assert json.loads(await hearer.recv())[4] == broadcast(n=1)
        assert (await plain.hear("broadcast"))["payload"] == broadcast(n=1)

    async def test_by_http_reaches_the_room(self, line, client, api_keys):
        hearer, room = await line(), unique("room with/slash")
        await hearer.join(room)
        headers = {"apikey": api_keys["anon"]}
        messages = [{"topic": room, "event": "a", "payload": {"n": 1}}]
        path = "/realtime/v1/api/broadcast"
        sent = await client.post(path, json={"messages": messages}, headers=headers)
        assert sent.status_code == 202
        assert (await hearer.hear("broadcast"))["payload"] == broadcast("a", n=1)
        one = f"{path}/{quote(room, safe='')}/events/b"
        assert (await client.post(one, json={"n": 2}, headers=headers)).status_code == 202
        assert (await hearer.hear("broadcast"))["payload"] == broadcast("b", n=2)

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            (b"", 400),
            (b"[" * 5000, 400),
            (b"[]", 422),
            (b'{"messages": []}', 422),
            (b'{"messages": [{"topic": "x"}]}', 422),
            (b'{"messages": [{"topic": "x", "event": 7}]}', 422),
            (json.dumps({"messages": [{"topic": "x" * 300, "event": "e"}]}).encode(), 422),
            (json.dumps({"messages": [{"topic": "x", "event": "e"}] * 101}).encode(), 422),
            (b"x" * 1_100_000, 413),
        ],
    )
    async def test_by_http_refuses_nonsense(self, client, api_keys, body, status):
        headers = {"apikey": api_keys["anon"], "content-type": "application/json"}
        answer = await client.post("/realtime/v1/api/broadcast", content=body, headers=headers)
        assert answer.status_code == status

    async def test_by_http_needs_a_key(self, client):
        answer = await client.post("/realtime/v1/api/broadcast", json={"messages": []})
        assert answer.status_code == 401
        assert (await client.get("/realtime/v1/websocket")).status_code == 404

    async def test_from_the_database_comes_with_the_commit(self, line, owner):
        hearer, room = await line(), unique("room")
        await hearer.join(room)
        send = "SELECT realtime.send('{\"n\": 1}'::jsonb, 'saved', $1, false)"
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute(send, room)
        await transaction.rollback()
        await owner.execute(send, room)
        heard = (await hearer.hear("broadcast"))["payload"]
        assert heard.pop("meta")["id"]
        assert heard == broadcast("saved", n=1)
        assert await hearer.silent("broadcast")


class TestPresence:
    async def test_shows_who_comes_and_goes(self, line):
        alice, bob, room = await line(), await line(), unique("room")
        topic = f"realtime:{room}"
        await alice.join(room, presence={"key": "alice", "enabled": True})
        assert (await alice.hear("presence_state"))["payload"] == {}
        track = {"type": "presence", "event": "track", "payload": {"mood": "fine"}}
        assert (await alice.ask(topic, "presence", track))["status"] == "ok"
        joins = (await alice.hear("presence_diff"))["payload"]["joins"]
        assert joins["alice"]["metas"][0]["mood"] == "fine"
        await bob.join(room, presence={"key": "bob", "enabled": True})
        state = (await bob.hear("presence_state"))["payload"]
        reference = state["alice"]["metas"][0]["phx_ref"]
        await alice.ask(topic, "presence", {**track, "payload": {"mood": "better"}})
        diff = (await bob.hear("presence_diff"))["payload"]
        assert diff["joins"]["alice"]["metas"][0]["phx_ref_prev"] == reference
        assert diff["leaves"]["alice"]["metas"][0]["phx_ref"] == reference
        await alice.ask(topic, "presence", {"type": "presence", "event": "untrack"})
        assert "alice" in (await bob.hear("presence_diff"))["payload"]["leaves"]

    async def test_ends_with_the_socket(self, line):
        alice, bob, room = await line(), await line(), unique("room")
        await bob.join(room)
        await alice.join(room, presence={"key": "alice"})
        await alice.ask(f"realtime:{room}", "presence", {"event": "track", "payload": {}})
        await bob.hear("presence_diff")
        await alice.connection.close()
        assert "alice" in (await bob.hear("presence_diff"))["payload"]["leaves"]

    async def test_of_one_member_is_bounded(self, line):
        alice, room = await line(), unique("room")
        await alice.join(room)
        huge = {"event": "track", "payload": {"x": "y" * 20_000}}
        assert (await alice.ask(f"realtime:{room}", "presence", huge))["status"] == "error"


async def closed(line):
    """Code with which the server ends the socket."""
    async with asyncio.timeout(30):
        await drain(line.connection)
    return line.connection.close_code


async def drain(connection):
    """Read to the end."""
    with suppress(ConnectionClosed):
        while True:
            await connection.recv()


async def short_lived(app, person, lifetime):
    """A genuine access token of this person that ends soon."""
    claims = jwt.decode(person.tokens["access_token"], options={"verify_signature": False})
    subject = Subject(
        user_id=UUID(claims["sub"]),
        session_id=UUID(claims["session_id"]),
        email=claims["email"],
        phone=None,
        app_metadata={},
        user_metadata={},
        aal=claims["aal"],
        amr=claims["amr"],
    )
    tokens = app.control.state.identity.tokens
    return await tokens.mint(subject, TokenType.ACCESS, lifetime, utc_now())


class TestSessions:
    async def test_that_end_take_their_sockets_along(self, line, client):
        person = await register(client, "leaver")
        mine, bystander = await line(), await line()
        await mine.join(unique("room"), token=person.tokens["access_token"])
        await bystander.join(unique("room"))
        await person.post("/api/v1/auth/logout")
        assert await closed(mine) == 4001
        assert (await bystander.ask("phoenix", "heartbeat", {}))["status"] == "ok"

    async def test_of_suspended_people_end(self, line, client, admin):
        person = await register(client, "suspended")
        mine = await line()
        await mine.join(unique("room"), token=person.tokens["access_token"])
        await admin.post(f"/api/v1/users/{person.id}/deactivate")
        assert await closed(mine) == 4001

    async def test_end_when_the_password_changes(self, line, client):
        person = await register(client, "changer")
        elsewhere = await line()
        second = await sign_in(client, person.identifier)
        await elsewhere.join(unique("room"), token=second.tokens["access_token"])
        body = {"current_password": person.password, "new_password": "Another-Horse-43"}
        changed = await person.patch("/api/v1/users/me/password", json=body)
        assert changed.status_code < 300, changed.text
        assert await closed(elsewhere) == 4001

    async def test_go_on_with_a_fresh_token(self, line, client):
        person = await register(client, "refresher")
        mine, room = await line(), unique("room")
        await mine.join(room, token=person.tokens["access_token"])
        body = {"refresh_token": person.tokens["refresh_token"]}
        fresh = (await client.post("/api/v1/auth/refresh", json=body)).json()["access_token"]
        await mine.send(f"realtime:{room}", "access_token", {"access_token": fresh})
        assert (await mine.ask("phoenix", "heartbeat", {}))["status"] == "ok"
        assert await mine.silent("phx_error")

    async def test_end_their_channels_when_the_token_expires(self, line, member, app):
        mine, room = await line(), unique("room")
        for seconds in (2, 15):  # where joining takes longer than the first lives, the second
            token = await short_lived(app, member, timedelta(seconds=seconds))
            joined = await mine.join(room, token=token)
            if joined["status"] == "ok":
                break
        assert joined["status"] == "ok"
        ended = await mine.hear("phx_error")
        assert ended["payload"]["reason"] == "InvalidJWTToken: Token has expired"
        answer = await mine.join(room, token=member.tokens["access_token"])
        assert answer["status"] == "ok"

    @pytest.mark.parametrize("bad", ["nonsense", 7, {"a": 1}, "x" * 10_000])
    async def test_bad_tokens_end_the_channel_and_not_the_socket(self, line, member, bad):
        mine, room = await line(), unique("room")
        assert (await mine.join(room, token="nonsense"))["status"] == "error"
        await mine.join(room, token=member.tokens["access_token"])
        await mine.send(f"realtime:{room}", "access_token", {"access_token": bad})
        await mine.hear("phx_error")
        assert (await mine.ask("phoenix", "heartbeat", {}))["status"] == "ok"


HOSTILE = [
    "",
    "x",
    "[]",
    "null",
    "7",
    '"text"',
    "{}",
    "[" * 100_000,
    '{"topic": 1, "event": "phx_join"}',
    '{"topic": "realtime:x", "event": "e", "ref": {"a": 1}}',
    json.dumps({"topic": "t" * 300, "event": "phx_join"}),
    json.dumps({"topic": "t", "event": "e" * 300}),
    b"",
    b"\x03\xff\xff\xff\xff\xff\xff",
    b"\x09abc",
    bytes(range(256)),
]


class TestBadManners:
    @pytest.mark.parametrize("frame", HOSTILE, ids=range(len(HOSTILE)))
    async def test_what_is_no_message_ends_the_socket(self, line, frame):
        rude, polite = await line(), await line()
        await rude.connection.send(frame)
        assert await closed(rude) == 1007
        assert (await polite.ask("phoenix", "heartbeat", {}))["status"] == "ok"

    async def test_huge_messages_end_the_socket(self, line):
        rude = await line()
        await rude.connection.send("x" * 1_100_000)
        assert await closed(rude) == 1009

    @pytest.mark.parametrize(
        "config",
        [
            {"postgres_changes": "all"},
            {"postgres_changes": [7]},
            {"postgres_changes": [{}] * 101},
            {"postgres_changes": [{"event": "DROP"}]},
            {"postgres_changes": [{"schema": "x" * 64}]},
            {"postgres_changes": [{"table": "x", "select": [1]}]},
            {"postgres_changes": [{"filter": "a=eq.1"}]},
            {"presence": {"key": 7}},
            {"presence": {"key": "x" * 300}},
            {"broadcast": {"replay": {"since": "x"}}, "private": True},
        ],
    )
    async def test_joins_that_make_no_sense_are_refused(self, line, config):
        rude = await line()
        assert (await rude.join("x", **config))["status"] == "error"
        assert (await rude.join("x"))["status"] == "ok"

    @pytest.mark.parametrize(
        "payload", [None, 7, "x", [], {"config": 7}, {"config": {"broadcast": 7}}]
    )
    async def test_odd_joins_are_plain_joins(self, line, payload):
        rude = await line()
        assert (await rude.ask("realtime:x", "phx_join", payload))["status"] == "ok"

    async def test_unknown_topics_and_events_are_answered(self, line):
        rude = await line()
        assert (await rude.ask("room", "phx_join", {}))["status"] == "error"
        assert (await rude.ask("realtime:", "phx_join", {}))["status"] == "error"
        assert (await rude.ask("realtime:x", "broadcast", {}))["status"] == "error"
        await rude.join("x")
        assert (await rude.ask("realtime:x", "postgres_changes", {}))["status"] == "error"
        assert (await rude.ask("realtime:x", "broadcast", {"event": 7}))["status"] == "error"

    async def test_a_flood_of_channels_stops(self, line, live):
        rude = await line()
        most = live.settings.realtime.max_channels
        answers = [(await rude.join(f"c{number}"))["status"] for number in range(most + 5)]
        assert answers == ["ok"] * most + ["error"] * 5

    async def test_a_flood_of_messages_ends_the_socket(self, line, live):
        rude = await line()
        await rude.join("flood")
        # Of an earlier joining: nothing is done about them, so a busy machine counts them as fast
        # as they come.
        message = json.dumps(
            {
                "topic": "realtime:flood",
                "event": "broadcast",
                "payload": broadcast(),
                "join_ref": "earlier",
            }
        )
        with suppress(ConnectionClosed):
            for _ in range(live.settings.realtime.messages_per_second * 20):
                await rude.connection.send(message)
        assert await closed(rude) == 1008

    async def test_an_account_has_a_share_however_many_sockets_it_opens(
        self, line, live, member, outsider
    ):
        mine, theirs = (str(one.tokens["access_token"]) for one in (member, outsider))
        most = live.settings.realtime.max_channels_per_caller
        for sockets in (100, most - 100):
            full = await line()
            for number in range(sockets):
                assert (await full.join(f"c{number}", token=mine))["status"] == "ok"
        late = await line()
        refused = await late.join("c", token=mine)
        assert refused["response"]["reason"].startswith("ChannelRateLimitReached")
        assert (await late.join("c", token=theirs))["status"] == "ok"
        assert (await late.join("d"))["status"] == "ok"

    async def test_joining_again_replaces_the_channel(self, line):
        alice, room = await line(), unique("room")
        await alice.join(room, broadcast={"self": True})
        await alice.join(room, broadcast={"self": True})
        await alice.hear("phx_close")
        await alice.send(f"realtime:{room}", "broadcast", broadcast(n=1))
        await alice.hear("broadcast")
        assert await alice.silent("broadcast")

    async def test_leaving_ends_what_was_heard(self, line):
        alice, bob, room = await line(), await line(), unique("room")
        await alice.join(room)
        await bob.join(room)
        assert (await bob.ask(f"realtime:{room}", "phx_leave", {}))["status"] == "ok"
        await bob.hear("phx_close")
        await alice.send(f"realtime:{room}", "broadcast", broadcast(n=1))
        await alice.ask("phoenix", "heartbeat", {})
        assert await bob.silent("broadcast")

    async def test_who_does_not_read_is_dropped_and_nobody_else(self, live, line, api_keys):
        room = unique("room")
        slow = await connect(live.socket_url(api_keys["anon"]), max_queue=1)
        await slow.send(
            json.dumps(
                {"topic": f"realtime:{room}", "event": "phx_join", "payload": {}, "ref": "1"}
            )
        )
        await slow.recv()
        alice, bob = await line(), await line()
        await alice.join(room, broadcast={"ack": True})
        await bob.join(room)
        big = broadcast(x="y" * 500_000)

        async def dropped() -> bool:
            await alice.ask(f"realtime:{room}", "broadcast", big)
            assert (await bob.hear("broadcast"))["payload"]["event"] == "hi"
            exposition = "".join(str(m) for m in metrics.DROPPED.collect())
            return "slow" in exposition

        await eventually(dropped, 30)
        await drain(slow)
        assert slow.close_code == 4008
