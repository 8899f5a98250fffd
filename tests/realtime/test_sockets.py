"""Broadcast, presence and the manners of a socket."""

from tests.fixtures.actors import unique


async def test_a_broadcast_reaches_the_others_in_the_room(line):
    alice, bob, eve = await line(), await line(), await line()
    room, other = unique("room"), unique("room")
    for one in (alice, bob):
        assert (await one.join(room))["status"] == "ok"
    await eve.join(other)
    await alice.send(
        f"realtime:{room}", "broadcast", {"type": "broadcast", "event": "hi", "payload": {"n": 1}}
    )
    heard = await bob.hear("broadcast")
    assert heard["payload"] == {"type": "broadcast", "event": "hi", "payload": {"n": 1}}
    assert heard["ref"] is None
    assert await alice.silent("broadcast")
    assert await eve.silent("broadcast")
