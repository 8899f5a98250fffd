"""The verbs of a channel: join, leave, broadcast, presence, access_token."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import orjson
import structlog

from undercroft.foundation.access import Actor
from undercroft.foundation.problems import Unauthorized
from undercroft.foundation.settings import RealtimeSettings
from undercroft.realtime import metrics
from undercroft.realtime.sockets.admission import (
    Admission,
    as_caller,
    expiry,
    keys_of,
    share,
    subjects,
    tenant,
)
from undercroft.realtime.sockets.bindings import check_binding, read_wish, resume_from
from undercroft.realtime.sockets.catalog import Catalog
from undercroft.realtime.sockets.channel import (
    PREFIX,
    Channel,
    Config,
    JoinRefused,
    asked_changes,
)
from undercroft.realtime.sockets.feed import FAILURES, Feed
from undercroft.realtime.sockets.judge import Judge
from undercroft.realtime.sockets.presence import Presence, PresenceTooLarge
from undercroft.realtime.sockets.protocol import LONGEST_EVENT, Incoming, reply
from undercroft.realtime.sockets.rates import Rates
from undercroft.realtime.sockets.rooms import Rooms
from undercroft.realtime.sockets.socket import Socket
from undercroft.realtime.sockets.stored import NotStored, StoredMessages, read_lifetime

log = structlog.get_logger()

SESSION_OVER = 4001
SENDING = frozenset({"broadcast", "presence"})
LATE = "PostgresChangesSubscribeTimeout"
REFUSED_READ = "Unauthorized: You do not have permissions to read from this Channel topic"


class Channels:
    """Every channel of this worker's sockets."""

    def __init__(
        self,
        settings: RealtimeSettings,
        admission: Admission,
        catalog: Catalog,
        judge: Judge,
        feed: Feed,
        rooms: Rooms,
        presence: Presence,
        stored: StoredMessages,
        rates: Rates,
    ) -> None:
        self._settings = settings
        self._admission = admission
        self._catalog = catalog
        self._judge = judge
        self._feed = feed
        self._rooms = rooms
        self._presence = presence
        self._stored = stored
        self._rates = rates
        self._by_subject: dict[str, set[Channel]] = defaultdict(set)
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, socket: Socket, message: Incoming) -> None:
        """Act on one message of a client."""
        match message.event:
            case "heartbeat" if message.topic == "phoenix":
                socket.put(reply(socket.version, message, "ok", {}))
            case "phx_join":
                await self._join(socket, message)
            case event:
                channel = socket.channels.get(message.topic)
                if channel is None:
                    _refuse(socket, message, "unmatched topic")
                elif message.join_ref and message.join_ref != channel.join_ref:
                    return  # meant for an earlier joining of this topic
                elif event == "phx_leave":
                    await self.leave(channel)
                    socket.put(reply(socket.version, message, "ok", {}))
                    channel.end("phx_close")
                elif event in SENDING and not await self._rates.may_send(
                    share(channel.actor, socket.address)
                ):
                    _refuse(socket, message, "ClientMessageRateLimitReached: Too many messages")
                elif event == "broadcast":
                    await self._broadcast(channel, message)
                elif event == "presence":
                    await self._change_presence(channel, message)
                elif event == "access_token":
                    await self._refresh(channel, message.payload.get("access_token"))
                else:
                    _refuse(socket, message, "unknown event")

    async def leave(self, channel: Channel) -> None:
        """Forget the channel, wherever it is known."""
        socket = channel.socket
        if socket.channels.get(channel.topic) is not channel:
            return  # somebody else is at it
        del socket.channels[channel.topic]
        metrics.CHANNELS.dec()
        self._forget_subjects(channel)
        self._feed.leave(channel)
        try:
            await self._presence.untrack(channel)
        finally:
            await self._rooms.leave(channel)
            self._presence.forget_empty(channel.room)

    async def leave_all(self, socket: Socket) -> None:
        for channel in [*socket.channels.values()]:
            try:
                await self.leave(channel)
            except Exception:  # the others leave all the same
                log.exception("channel_not_left")

    def about(self, subject: str) -> set[Channel]:
        """Channels whose caller a change of rights concerns."""
        own, keys = (self._by_subject.get(one, set()) for one in (subject, keys_of(subject)))
        return own | keys

    async def recheck(self, channels: Iterable[Channel]) -> None:
        """See whether callers still are who they were, and may still read what they read."""
        for channel in channels:
            if channel.socket.closing:
                continue
            try:
                actor, _ = await self._admission.caller(channel.socket, channel.token)
                await self._become(channel, actor, channel.token)
            except Unauthorized:
                metrics.DROPPED.labels("session").inc()
                channel.system("error", "system", "The session of this channel has ended.")
                channel.socket.close(SESSION_OVER, "The session has ended.")
            except JoinRefused as refusal:
                await self.expel(channel, str(refusal))

    async def expel(self, channel: Channel, reason: str) -> None:
        """End a channel that its client may join again, with a better token."""
        await self.leave(channel)
        channel.system("error", "system", reason)
        channel.end("phx_error", {"reason": reason})

    async def expel_expired(self, channel: Channel) -> None:
        if channel.expires_at < time.time():
            await self.expel(channel, "InvalidJWTToken: Token has expired")

    async def stop(self) -> None:
        for task in [*self._tasks]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _join(self, socket: Socket, message: Incoming) -> None:
        if earlier := socket.channels.get(message.topic):
            await self.leave(earlier)
            earlier.end("phx_close")
        try:
            channel, wishes = await self._admit(socket, message)
            self._remember(channel)
            try:
                await self._rooms.enter(channel)
                if wishes and channel.config.wait:
                    await self._follow_in_time(channel, wishes)
            except JoinRefused:
                await self.leave(channel)
                raise
        except JoinRefused as refusal:
            metrics.JOINS.labels("refused").inc()
            _refuse(socket, message, str(refusal))
            return
        metrics.JOINS.labels("joined").inc()
        answer = {"postgres_changes": [wish.echo for wish in wishes]}
        socket.put(reply(socket.version, message, "ok", answer))
        await self._begin(channel, wishes)

    async def _admit(self, socket: Socket, message: Incoming) -> tuple[Channel, tuple[Any, ...]]:
        """A channel whose caller may be there. Raises `JoinRefused`."""
        if not message.topic.startswith(PREFIX) or message.topic == PREFIX:
            raise JoinRefused("unmatched topic")
        if len(socket.channels) >= self._settings.max_channels:
            raise JoinRefused("ChannelRateLimitReached: Too many channels")
        if not await self._rates.may_join(socket.address):
            raise JoinRefused("ClientJoinRateLimitReached: Too many joins per second")
        config = Config.read(message.payload)
        token = message.payload.get("access_token") or message.payload.get("user_token")
        try:
            actor, used = await self._admission.caller(socket, token)
        except Unauthorized as error:
            raise JoinRefused("InvalidJWTToken: The access token is not valid") from error
        if self._is_at_limit(actor):
            raise JoinRefused("ChannelRateLimitReached: Too many channels of this caller")
        if not (config.private or self._settings.public_channels):
            raise JoinRefused("PrivateOnly: This project only allows private channels")
        wishes = tuple(read_wish(asked) for asked in asked_changes(message.payload))
        channel = Channel(
            socket,
            message.topic,
            message.join_ref or message.ref,
            config,
            actor,
            used,
            expiry(actor),
        )
        channel.presence_key = config.presence_key or str(actor.user_id or message.ref or "")
        await self._authorise(channel, actor)
        return channel, wishes

    def _is_at_limit(self, actor: Actor) -> bool:
        whose = tenant(actor)
        held = len(self._by_subject.get(whose, ())) if whose else 0
        return held >= self._settings.max_channels_per_caller

    async def _authorise(self, channel: Channel, actor: Actor) -> None:
        if not channel.config.private:
            return
        channel.rights = await self._admission.rights(actor, channel.name)
        if not channel.rights.reads:
            raise JoinRefused(f"{REFUSED_READ}: {channel.name}")

    def _remember(self, channel: Channel) -> None:
        channel.socket.channels[channel.topic] = channel
        metrics.CHANNELS.inc()
        for subject in subjects(channel.actor):
            self._by_subject[subject].add(channel)

    def _forget_subjects(self, channel: Channel) -> None:
        for subject in subjects(channel.actor):
            found = self._by_subject.get(subject, set())
            found.discard(channel)
            if not found:
                self._by_subject.pop(subject, None)

    async def _begin(self, channel: Channel, wishes: tuple[Any, ...]) -> None:
        """What a client hears first."""
        if channel.config.announces_ready:
            self._announce_ready(channel)
        if channel.config.presence and channel.rights.read_presence:
            await self._presence.show(channel)
        if channel.config.replay and channel.rights.read_broadcast:
            await self._stored.replay(channel, channel.config.replay)
        if wishes and not channel.config.wait:
            task = asyncio.get_running_loop().create_task(self._follow_later(channel, wishes))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _announce_ready(self, channel: Channel) -> None:
        """Whether broadcasts from the database arrive, in the words that clients wait for."""
        if self._stored.hearing:
            channel.system("ok", "system", "Replication connection established")
        else:
            channel.system("error", "system", "Replication connection is not there; join again")

    async def _follow_later(self, channel: Channel, wishes: tuple[Any, ...]) -> None:
        try:
            await self._follow_changes(channel, wishes)
        except JoinRefused as refusal:
            channel.system("error", "postgres_changes", str(refusal))
        except Exception:
            log.exception("changes_not_followed")
            channel.socket.fail()

    async def _follow_in_time(self, channel: Channel, wishes: tuple[Any, ...]) -> None:
        try:
            async with asyncio.timeout(channel.config.wait_seconds):
                await self._follow_changes(channel, wishes)
        except TimeoutError as error:
            raise JoinRefused(f"{LATE}: table changes are not followed in time") from error

    async def _follow_changes(self, channel: Channel, wishes: tuple[Any, ...]) -> None:
        """Subscribe to table changes; the message at the end is the promise that none is missed."""
        bindings = tuple(wish.binding for wish in wishes)
        try:
            for binding in bindings:
                await check_binding(binding, channel.actor.role, self._catalog, self._judge)
            stands = await self._feed.join(channel, bindings, resume_from(wishes))
        except FAILURES as error:
            log.warning("changes_not_followed", cause=str(error))
            raise JoinRefused("UnableToConnectToDatabase: try again") from error
        if channel.socket.channels.get(channel.topic) is not channel:  # left meanwhile
            self._feed.leave(channel)
            return
        channel.system("ok", "postgres_changes", "Subscribed to PostgreSQL", cursor=str(stands))

    async def _broadcast(self, channel: Channel, message: Incoming) -> None:
        event = message.payload.get("event")
        if not isinstance(event, str) or len(event.encode()) > LONGEST_EVENT:
            _refuse(channel.socket, message, "event must be short text")
            return
        if not channel.rights.write_broadcast:
            _refuse(channel.socket, message, "Unauthorized: You may not send on this topic")
            return
        binary = message.binary is not None
        payload = message.binary
        if payload is None:
            try:
                payload = orjson.dumps(message.payload.get("payload", {}))
            except orjson.JSONEncodeError:
                _refuse(channel.socket, message, "The payload is nested too deeply")
                return
        if message.payload.get("persist", False) is not False:
            await self._store(channel, message, event, payload)
            return
        await self._rooms.broadcast(channel.room, event, payload, binary=binary, sender=channel)
        if channel.config.ack:
            channel.socket.put(reply(channel.socket.version, message, "ok", {}))

    async def _store(self, channel: Channel, message: Incoming, event: str, payload: bytes) -> None:
        """Keep a broadcast for replays; it is sent when it is kept, and acknowledged by its id."""
        try:
            lifetime = _lifetime(channel, message)
            identity = await self._stored.store(
                channel.name, event, payload, lifetime, sender=channel
            )
        except NotStored as error:
            _refuse(channel.socket, message, str(error), error=str(error))
            return
        if channel.config.ack:
            answer = reply(channel.socket.version, message, "ok", {"id": identity})
            channel.socket.put(answer)

    async def _change_presence(self, channel: Channel, message: Incoming) -> None:
        if not channel.rights.write_presence:
            _refuse(channel.socket, message, "Unauthorized: You may not be present on this topic")
            return
        meta = message.payload.get("payload")
        match message.payload.get("event"):
            case "track" if isinstance(meta, dict):
                try:
                    await self._presence.track(channel, meta)
                except PresenceTooLarge:
                    _refuse(channel.socket, message, "The presence is too large")
                    return
            case "untrack":
                await self._presence.untrack(channel)
            case _:
                _refuse(channel.socket, message, "track or untrack")
                return
        channel.socket.put(reply(channel.socket.version, message, "ok", {}))

    async def _refresh(self, channel: Channel, token: Any) -> None:
        """Go on with a new token."""
        try:
            actor, used = await self._admission.caller(channel.socket, token)
            await self._become(channel, actor, used)
        except Unauthorized:
            await self.expel(channel, "InvalidJWTToken: The access token is not valid")
        except JoinRefused as refusal:
            await self.expel(channel, str(refusal))

    async def _become(self, channel: Channel, actor: Actor, token: str) -> None:
        await self._authorise(channel, actor)
        before = as_caller(channel.actor)
        if actor is not channel.actor:
            self._forget_subjects(channel)
            channel.actor, channel.token, channel.expires_at = actor, token, expiry(actor)
            for subject in subjects(actor):
                self._by_subject[subject].add(channel)
        if as_caller(actor) != before:
            await self._feed.move(channel, as_caller(actor))


def _refuse(socket: Socket, message: Incoming, reason: str, **more: str) -> None:
    socket.put(reply(socket.version, message, "error", {"reason": reason, **more}))


def _lifetime(channel: Channel, message: Incoming) -> timedelta | None:
    """For how long a message is to be kept. Raises `NotStored`."""
    if message.binary is not None or not channel.config.private:
        raise NotStored("Only JSON on a private channel can be stored")
    if not channel.rights.store_broadcast:
        raise NotStored("Unauthorized: You may not store on this topic")
    persist = message.payload["persist"]
    return read_lifetime(persist.get("ttl") if isinstance(persist, dict) else persist)
