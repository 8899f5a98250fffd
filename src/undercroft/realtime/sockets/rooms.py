"""Who is in which room on this worker, and what is said between workers.

A room is a topic, private or public. Broadcasts and presence travel through it; table changes go
their own way (feed.py).
"""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson

from undercroft.foundation.cache import Cache
from undercroft.foundation.ids import new_id
from undercroft.realtime.sockets.bus import Bus
from undercroft.realtime.sockets.channel import PREFIX, Channel
from undercroft.realtime.sockets.protocol import Outgoing, OutgoingBinary

RoomName = tuple[bool, str]
Told = Callable[[RoomName, str, Any], None]
_JSON, _BINARY, _PRESENCE = b"j", b"b", b"p"


class Room:
    __slots__ = ("channels", "name", "ready")

    def __init__(self, name: RoomName) -> None:
        self.name = name
        self.channels: set[Channel] = set()
        self.ready: asyncio.Task[None] | None = None


class Rooms:
    def __init__(self, cache: Cache, bus: Bus) -> None:
        self.worker = new_id().hex
        self._cache = cache
        self._bus = bus
        self._rooms: dict[RoomName, Room] = {}
        self._on_presence: Told | None = None

    def on_presence(self, handler: Told) -> None:
        """`handler(room, worker, news)` hears what other workers say of their presences."""
        self._on_presence = handler

    def members(self, name: RoomName) -> set[Channel]:
        room = self._rooms.get(name)
        return room.channels if room else set()

    async def enter(self, channel: Channel) -> None:
        """Returns when what other workers say in the room is heard here."""
        room = self._rooms.get(channel.room)
        if room is None:
            room = self._rooms[channel.room] = Room(channel.room)
            room.ready = asyncio.get_running_loop().create_task(self._listen(room.name))
        room.channels.add(channel)
        assert room.ready
        await asyncio.shield(room.ready)

    async def leave(self, channel: Channel) -> None:
        room = self._rooms.get(channel.room)
        if room is None:
            return
        room.channels.discard(channel)
        if not room.channels:
            del self._rooms[channel.room]
            await self._bus.unsubscribe(self._subject(channel.room))
            # Somebody may have entered meanwhile and listened before we stopped to.
            if again := self._rooms.get(channel.room):
                again.ready = asyncio.get_running_loop().create_task(self._listen(again.name))

    async def broadcast(
        self,
        name: RoomName,
        event: str,
        payload: bytes,
        *,
        binary: bool = False,
        sender: Channel | None = None,
    ) -> None:
        """Tell everybody in the room, on every worker. `payload` is JSON unless `binary`."""
        self.tell(name, event, payload, binary=binary, sender=sender)
        kind = _BINARY if binary else _JSON
        head = orjson.dumps([self.worker, event])
        await self._bus.publish(self._subject(name), kind + head + b"\n" + payload)

    def tell(
        self,
        name: RoomName,
        event: str,
        payload: bytes,
        *,
        binary: bool = False,
        sender: Channel | None = None,
        meta: bytes | None = None,
    ) -> None:
        """Tell those on this worker."""
        message = broadcast_message(name, event, payload, binary=binary, meta=meta)
        for channel in self.members(name):
            if channel is sender and not channel.config.hears_self:
                continue
            if channel.rights.read_broadcast:
                channel.socket.push(message)

    async def tell_presence(self, name: RoomName, news: Any) -> None:
        """Tell the other workers."""
        head = orjson.dumps([self.worker, ""])
        await self._bus.publish(self._subject(name), _PRESENCE + head + b"\n" + orjson.dumps(news))

    def subject_of(self, name: RoomName) -> str:
        return self._subject(name)

    def names(self) -> list[RoomName]:
        return list(self._rooms)

    async def _listen(self, name: RoomName) -> None:
        await self._bus.subscribe(self._subject(name), lambda data: self._heard(name, data))

    def _heard(self, name: RoomName, data: bytes) -> None:
        head, _, payload = data[1:].partition(b"\n")
        worker, event = orjson.loads(head)
        if worker == self.worker:
            return
        if data[:1] == _PRESENCE:
            if self._on_presence is not None:
                self._on_presence(name, worker, orjson.loads(payload))
        else:
            self.tell(name, event, payload, binary=data[:1] == _BINARY)

    def _subject(self, name: RoomName) -> str:
        private, topic = name
        return self._cache.key("realtime", "private" if private else "public", topic)


def broadcast_message(
    name: RoomName, event: str, payload: bytes, *, binary: bool = False, meta: bytes | None = None
) -> Outgoing:
    topic = PREFIX + name[1]
    if binary:
        return OutgoingBinary(topic, event, payload)
    content: dict[str, Any] = {
        "type": "broadcast",
        "event": event,
        "payload": orjson.Fragment(payload),
    }
    if meta is not None:
        content["meta"] = orjson.Fragment(meta)
    return Outgoing(topic, "broadcast", orjson.dumps(content))
