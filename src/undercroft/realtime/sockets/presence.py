"""Who is present in a room: what clients `track`, shown to all who asked to see it.

Each worker answers for its own sockets and tells the others what changes. What Valkey keeps of it
is for workers that come later, so it is written before it is told: who listens and then reads
misses nothing. When Valkey forgets, every worker writes its part again; who heard nothing for a
while asks the others to tell all. A worker that gives no sign of life is forgotten with all who
were on it.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import orjson

from undercroft.foundation.cache import Cache
from undercroft.foundation.ids import new_id
from undercroft.realtime.sockets.bus import Bus, end
from undercroft.realtime.sockets.channel import PREFIX, Channel
from undercroft.realtime.sockets.protocol import Outgoing
from undercroft.realtime.sockets.rooms import RoomName, Rooms

ALIVE_SECONDS = 3.0
FORGOTTEN_SECONDS = 10.0
KEPT_SECONDS = 3600
MOST_BYTES = 10_000

# worker → reference → [key, meta]
State = dict[str, dict[str, list[Any]]]


class PresenceTooLarge(Exception):  # noqa: N818 - says what happened
    """More than one member may tell, or nested deeper than it can be told."""


class Presence:
    def __init__(self, cache: Cache, bus: Bus, rooms: Rooms) -> None:
        self._cache = cache
        self._bus = bus
        self._rooms = rooms
        self._state: dict[RoomName, State] = defaultdict(dict)
        # Of which rooms everything is known that other workers told before.
        self._whole: set[RoomName] = set()
        # What was heard of rooms while they are read, by each of those who read.
        self._meanwhile: dict[RoomName, list[list[tuple[str, Any]]]] = defaultdict(list)
        self._alive: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None
        self._beat_subject = cache.key("realtime", "workers")
        rooms.on_presence(self._heard)
        bus.when_back(self._write_again)

    async def show(self, channel: Channel) -> None:
        """Send the channel who is there."""
        name = channel.room
        if name not in self._whole and await self._read(name):
            self._whole.add(name)
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat())
        payload = orjson.dumps(_listed(self._entries(name)))
        channel.socket.push(Outgoing(channel.topic, "presence_state", payload))

    async def track(self, channel: Channel, meta: dict[str, Any]) -> None:
        """Show `meta` for the channel, instead of what it showed before."""
        _raise_if_too_large(channel.presence_key, meta)
        name, own = channel.room, self._own(channel.room)
        before = own.pop(channel.presence_ref, None) if channel.presence_ref else None
        reference = new_id().hex[-16:]
        shown = {**meta, "phx_ref": reference}
        leaves: dict[str, list[Any]] = {}
        if before and channel.presence_ref:
            shown["phx_ref_prev"] = before[1]["phx_ref"]
            leaves[channel.presence_ref] = before
        own[reference] = [channel.presence_key, shown]
        channel.presence_ref = reference
        await self._tell(name, {"joins": {reference: own[reference]}, "leaves": leaves})

    async def untrack(self, channel: Channel) -> None:
        reference, channel.presence_ref = channel.presence_ref, None
        entry = self._own(channel.room).pop(reference, None) if reference else None
        if reference and entry:
            await self._tell(channel.room, {"joins": {}, "leaves": {reference: entry}})

    def forget_empty(self, name: RoomName) -> None:
        """Nobody here is in the room any more, so nothing of it is heard."""
        if not self._rooms.members(name):
            self._state.pop(name, None)
            self._whole.discard(name)

    async def stop(self) -> None:
        for task in (*self._tasks, self._beating):
            await end(task)
        with suppress(*self._cache.ERRORS):
            for name in [*self._state]:
                await self._tell(name, {"joins": {}, "leaves": self._own(name)})

    def _own(self, name: RoomName) -> dict[str, list[Any]]:
        return self._state[name].setdefault(self._rooms.worker, {})

    def _entries(self, name: RoomName) -> list[list[Any]]:
        workers = self._state.get(name, {})
        return [entry for entries in workers.values() for entry in entries.values()]

    async def _tell(self, name: RoomName, news: dict[str, dict[str, list[Any]]]) -> None:
        self._push(name, news)
        with suppress(*self._cache.ERRORS):
            await self._write(name, news)
        await self._rooms.tell_presence(name, news)

    async def _write(self, name: RoomName, news: dict[str, dict[str, list[Any]]]) -> None:
        key, client = self._key(name), self._cache.client
        if gone := [f"{self._rooms.worker} {reference}" for reference in news["leaves"]]:
            await client.hdel(key, *gone)
        if news["joins"]:
            fields = {
                f"{self._rooms.worker} {reference}": orjson.dumps(entry)
                for reference, entry in news["joins"].items()
            }
            await client.hset(key, mapping=fields)
            await client.expire(key, KEPT_SECONDS)

    async def _read(self, name: RoomName) -> bool:
        """What other workers have told of a room that is new here. False: Valkey did not answer."""
        meanwhile: list[tuple[str, Any]] = []
        self._meanwhile[name].append(meanwhile)
        try:
            found = await self._kept(name)
        except self._cache.ERRORS:
            return False
        finally:
            self._meanwhile[name].remove(meanwhile)
            if not self._meanwhile[name]:
                del self._meanwhile[name]
        state = self._state[name]
        for field, value in found.items():
            worker, _, reference = field.decode().partition(" ")
            if worker != self._rooms.worker:
                self._alive.setdefault(worker, time.monotonic())
                state.setdefault(worker, {}).setdefault(reference, orjson.loads(value))
        for worker, news in meanwhile:  # may be younger than the answer
            self._take(name, worker, news)
        return True

    async def _kept(self, name: RoomName) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = await self._cache.client.hgetall(self._key(name))
        return found

    def _heard(self, name: RoomName, worker: str, news: Any) -> None:
        self._alive[worker] = time.monotonic()
        for meanwhile in self._meanwhile.get(name, ()):
            meanwhile.append((worker, news))
        self._take(name, worker, news)
        if news.get("asks"):
            self._begin(self._tell_all(name))

    def _take(self, name: RoomName, worker: str, news: Any) -> None:
        entries = self._state[name].setdefault(worker, {})
        leaves = news["leaves"]
        if news.get("all"):  # what it does not name is gone
            leaves = {ref: entry for ref, entry in entries.items() if ref not in news["joins"]}
        fresh = {ref: e for ref, e in news["joins"].items() if ref not in entries}
        gone = {ref: e for ref, e in leaves.items() if entries.pop(ref, None)}
        entries |= fresh
        self._push(name, {"joins": fresh, "leaves": gone})

    def _push(self, name: RoomName, news: dict[str, dict[str, list[Any]]]) -> None:
        if not (news["joins"] or news["leaves"]):
            return
        diff = {part: _listed(list(entries.values())) for part, entries in news.items()}
        message = Outgoing(PREFIX + name[1], "presence_diff", orjson.dumps(diff))
        for channel in self._rooms.members(name):
            if channel.config.presence and channel.rights.read_presence:
                channel.socket.push(message)

    async def _beat(self) -> None:
        """Say that this worker lives, and forget those that do not."""
        await self._bus.subscribe(self._beat_subject, self._heard_beat)
        while True:
            said = await self._bus.publish(self._beat_subject, self._rooms.worker.encode())
            if said and self._bus.connected:
                await self._forget_silent()
            else:  # we cannot hear either, so silence means nothing
                self._alive = dict.fromkeys(self._alive, time.monotonic())
            await asyncio.sleep(ALIVE_SECONDS)

    def _heard_beat(self, worker: bytes) -> None:
        self._alive[worker.decode()] = time.monotonic()

    async def _forget_silent(self) -> None:
        oldest = time.monotonic() - FORGOTTEN_SECONDS
        for worker in [w for w, heard in self._alive.items() if heard < oldest]:
            del self._alive[worker]
            for name in [*self._state]:
                entries = self._state.get(name, {}).pop(worker, {})
                self._push(name, {"joins": {}, "leaves": entries})
                if entries:
                    with suppress(*self._cache.ERRORS):
                        fields = [f"{worker} {reference}" for reference in entries]
                        await self._cache.client.hdel(self._key(name), *fields)

    def _write_again(self) -> None:
        """Valkey may have lost everything; they and we may have missed what was said meanwhile."""
        self._begin(self._tell_all_again())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_all(self, name: RoomName, *, asks: bool = False) -> None:
        """Who hears it forgets what it does not name, and tells all in turn if it `asks`."""
        if name in self._state:
            news = {"joins": self._own(name), "leaves": {}, "all": True, "asks": asks}
            await self._rooms.tell_presence(name, news)

    async def _tell_all_again(self) -> None:
        for name in [*self._state]:
            if name not in self._state:  # everybody left while others were told
                continue
            own = self._own(name)
            with suppress(*self._cache.ERRORS):
                kept = await self._cache.client.hkeys(self._key(name))
                mine = [key.decode().partition(" ") for key in kept]
                own_refs = (ref for worker, _, ref in mine if worker == self._rooms.worker)
                stale: dict[str, list[Any]] = {ref: [] for ref in own_refs if ref not in own}
                await self._write(name, {"joins": own, "leaves": stale})
            await self._tell_all(name, asks=True)

    def _key(self, name: RoomName) -> str:
        return self._rooms.subject_of(name) + ":presence"


def _raise_if_too_large(key: str, meta: dict[str, Any]) -> None:
    """Raise `PresenceTooLarge` before anybody has heard of it."""
    try:
        orjson.dumps({"joins": _listed([[key, meta]])})
    except orjson.JSONEncodeError as error:
        raise PresenceTooLarge from error
    if len(orjson.dumps(meta)) > MOST_BYTES:
        raise PresenceTooLarge


def _listed(entries: list[list[Any]]) -> dict[str, dict[str, list[Any]]]:
    """As clients know it: key → {"metas": […]}."""
    listed: dict[str, dict[str, list[Any]]] = {}
    for key, meta in entries:
        listed.setdefault(key, {"metas": []})["metas"].append(meta)
    return listed
