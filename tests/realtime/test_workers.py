"""What the workers tell each other arrives, whenever somebody begins to listen."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest_asyncio

from tests.fixtures.actors import unique
from tests.fixtures.live import eventually
from undercroft.app import Application
from undercroft.realtime.sockets.bus import Bus
from undercroft.realtime.sockets.presence import Presence
from undercroft.realtime.sockets.protocol import Outgoing
from undercroft.realtime.sockets.rooms import RoomName, Rooms


class Client:
    """A socket of which only the answers matter."""

    def __init__(self) -> None:
        self.heard: list[Outgoing] = []

    def push(self, message: Outgoing) -> None:
        self.heard.append(message)

    @property
    def state(self) -> dict[str, Any]:
        told = [one for one in self.heard if one.event == "presence_state"]
        return dict(orjson.loads(told[-1].payload))


class Everything:
    presence = read_presence = read_broadcast = hears_self = True


@dataclass(eq=False)
class Member:
    name: str
    presence_key: str
    presence_ref: str | None = None
    socket: Client = field(default_factory=Client)
    config = rights = Everything

    @property
    def room(self) -> tuple[bool, str]:
        return (False, self.name)

    @property
    def topic(self) -> str:
        return f"realtime:{self.name}"


class SlowReader(Presence):
    """What it reads of a room arrives when it may, or not at all."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.read, self.may_arrive, self.fails = asyncio.Event(), asyncio.Event(), False
        self.may_arrive.set()

    async def _kept(self, name: RoomName) -> dict[bytes, bytes]:
        kept = await super()._kept(name)
        self.read.set()
        await self.may_arrive.wait()
        if self.fails:
            raise TimeoutError
        return kept


class Worker:
    """As much of one as presence takes."""

    def __init__(self, app: Application) -> None:
        self.bus = Bus(app.parts.cache)
        self.rooms = Rooms(app.parts.cache, self.bus)
        self.presence = SlowReader(app.parts.cache, self.bus, self.rooms)

    async def enter(self, member: Any) -> None:
        await self.rooms.enter(member)
        await self.presence.show(member)

    async def leave(self, member: Any) -> None:
        await self.presence.untrack(member)
        await self.rooms.leave(member)
        self.presence.forget_empty(member.room)

    async def stop(self) -> None:
        await self.presence.stop()
        await self.bus.stop()


@pytest_asyncio.fixture
async def workers(app: Application) -> AsyncIterator[list[Worker]]:
    both = [Worker(app), Worker(app)]
    yield both
    for worker in both:
        await worker.stop()


async def test_subjects_asked_for_while_the_connection_opens_are_heard(workers: list[Worker]):
    here, there = (worker.bus for worker in workers)
    subjects = [unique("subject") for _ in range(5)]
    heard: set[str] = set()
    asking = []
    for subject in subjects:
        add = lambda _data, subject=subject: heard.add(subject)  # noqa: E731
        asking.append(asyncio.create_task(here.subscribe(subject, add)))
        for _ in range(2):
            await asyncio.sleep(0)
    await asyncio.gather(*asking)
    async with asyncio.timeout(20):
        while heard != set(subjects):
            for subject in subjects:
                await there.publish(subject, b"x")
            await asyncio.sleep(0.02)


async def test_a_room_that_emptied_while_others_were_told_is_read_again(workers: list[Worker]):
    here, there = workers
    names = [unique("room") for _ in range(10)]
    far = Member(names[-1], "far")
    await there.enter(far)
    await there.presence.track(far, {"at": "work"})
    members = [Member(name, "here") for name in names]
    for member in members:
        await here.enter(member)
    telling = asyncio.create_task(here.presence._tell_all_again())
    await asyncio.sleep(0)
    await here.leave(members[-1])
    await telling
    again = Member(names[-1], "again")
    await here.enter(again)
    assert "far" in again.socket.state


async def test_who_was_there_before_a_room_was_looked_at_is_shown(workers: list[Worker]):
    here, there = workers
    name = unique("room")
    first, second, looker = (Member(name, key) for key in ("first", "second", "looker"))
    for member in (first, second):
        await there.enter(member)
    await there.presence.track(first, {"n": 1})
    await here.rooms.enter(Member(name, "silent"))  # hears of the second, and asks for nobody
    await there.presence.track(second, {"n": 2})
    await eventually(lambda: known(here, name))
    await here.enter(looker)
    assert set(looker.socket.state) == {"first", "second"}


async def test_who_left_while_a_room_was_read_is_not_shown(workers: list[Worker]):
    here, there = workers
    name = unique("room")
    gone, stays, looker = (Member(name, key) for key in ("gone", "stays", "looker"))
    for member in (gone, stays):
        await there.enter(member)
    await there.presence.track(gone, {})
    here.presence.may_arrive.clear()
    looking = asyncio.create_task(here.enter(looker))
    await here.presence.read.wait()
    await there.leave(gone)
    await there.presence.track(stays, {})
    await eventually(lambda: known(here, name))
    here.presence.may_arrive.set()
    await looking
    assert set(looker.socket.state) == {"stays"}


async def test_a_room_that_could_not_be_read_is_read_again(workers: list[Worker]):
    here, there = workers
    name = unique("room")
    far, first, second = (Member(name, key) for key in ("far", "first", "second"))
    await there.enter(far)
    await there.presence.track(far, {})
    here.presence.fails = True
    await here.enter(first)
    assert first.socket.state == {}
    here.presence.fails = False
    await here.enter(second)
    assert set(second.socket.state) == {"far"}


async def test_what_was_missed_is_asked_for(workers: list[Worker]):
    here, there = workers
    name = unique("room")
    gone, new, looker = (Member(name, key) for key in ("gone", "new", "looker"))
    for member in (gone, new):
        await there.enter(member)
    await there.presence.track(gone, {})
    await here.enter(looker)
    await here.bus._pubsub.unsubscribe(here.rooms.subject_of(looker.room))
    await there.leave(gone)
    await there.presence.track(new, {})
    await here.bus._pubsub.connection.disconnect()

    async def caught_up() -> bool:
        return [key for key, _ in await known(here, name)] == ["new"]

    await eventually(caught_up)


async def known(worker: Worker, name: str) -> list[list[Any]]:
    return worker.presence._entries((False, name))
