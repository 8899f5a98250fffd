"""A topic that a socket has joined, on whose behalf, and what was asked for."""

from dataclasses import dataclass, field
from typing import Any, Literal, Self

import orjson

from undercroft.foundation.access import Actor
from undercroft.realtime.changes.cursor import Cursor
from undercroft.realtime.sockets.protocol import Outgoing, channel_message
from undercroft.realtime.sockets.socket import Socket

PREFIX = "realtime:"
LONGEST_KEY = 255
MOST_BINDINGS = 100
# For a join that waits until its table changes are followed, in seconds.
LONGEST_WAIT = 20.0


class JoinRefused(Exception):  # noqa: N818 - says what happened
    """`str()` is for the client, in the words that clients of Supabase parse."""


@dataclass(frozen=True, slots=True)
class Rights:
    """What a caller may do on a topic."""

    read_broadcast: bool = True
    write_broadcast: bool = True
    read_presence: bool = True
    write_presence: bool = True
    store_broadcast: bool = True

    @property
    def reads(self) -> bool:
        return self.read_broadcast or self.read_presence


EVERYTHING = Rights()


@dataclass(frozen=True, slots=True)
class Replay:
    """Stored broadcasts since a time in milliseconds."""

    since: int
    limit: int


@dataclass(frozen=True, slots=True)
class Config:
    """The `config` of a join, with everything we do not know left out."""

    ack: bool = False
    hears_self: bool = False
    presence_key: str = ""
    presence: bool = False
    private: bool = False
    wait: bool = False
    wait_seconds: float = LONGEST_WAIT
    replay: Replay | None = None
    announces_ready: bool = False

    @classmethod
    def read(cls, payload: dict[str, Any]) -> Self:
        """Raises `JoinRefused`."""
        config = _object(payload.get("config"))
        broadcast, presence = _object(config.get("broadcast")), _object(config.get("presence"))
        options = _object(config.get("postgres_changes_options"))
        key = presence.get("key") or ""
        if not isinstance(key, str) or len(key) > LONGEST_KEY:
            raise JoinRefused("InvalidJoinPayload: the presence key must be short text")
        private = config.get("private") is True
        return cls(
            ack=broadcast.get("ack") is True,
            hears_self=broadcast.get("self") is True,
            presence_key=key,
            presence=presence.get("enabled") is not False,
            private=private,
            wait=options.get("wait") is True,
            wait_seconds=_wait(options.get("timeout")),
            announces_ready=broadcast.get("replication_ready") is True,
            replay=_replay(broadcast.get("replay")) if private else None,
        )


def asked_changes(payload: dict[str, Any]) -> list[dict[str, Any]]:
    """What a join asks of `postgres_changes`. Raises `JoinRefused`."""
    changes = _object(payload.get("config")).get("postgres_changes") or []
    if not isinstance(changes, list) or not all(isinstance(one, dict) for one in changes):
        raise JoinRefused("InvalidJoinPayload: postgres_changes must be a list of objects")
    if len(changes) > MOST_BINDINGS:
        raise JoinRefused(f"InvalidJoinPayload: at most {MOST_BINDINGS} postgres_changes")
    return changes


@dataclass(eq=False, slots=True)
class Channel:
    """`held` collects changes that must wait until what came before them has been sent.

    `audience` is whom it hears table changes with, the feed's to know.
    """

    socket: Socket
    topic: str
    join_ref: str | None
    config: Config
    actor: Actor
    token: str
    expires_at: float
    rights: Rights = EVERYTHING
    presence_ref: str | None = None
    presence_key: str = ""
    audience: Any = None
    live_after: Cursor | None = None
    held: list[Outgoing] | None = field(default=None)

    @property
    def name(self) -> str:
        return self.topic[len(PREFIX) :]

    @property
    def room(self) -> tuple[bool, str]:
        """Private and public channels of one name are two rooms."""
        return (self.config.private, self.name)

    def system(
        self, status: Literal["ok", "error"], extension: str, message: str, **more: Any
    ) -> None:
        payload = {"channel": self.name, "extension": extension, "status": status}
        payload |= {"message": message, **more}
        self.socket.push(Outgoing(self.topic, "system", orjson.dumps(payload)))

    def end(self, event: Literal["phx_error", "phx_close"], payload: Any = None) -> None:
        message = channel_message(
            self.socket.version, self.join_ref, self.topic, event, payload or {}
        )
        self.socket.put(message)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _wait(milliseconds: Any) -> float:
    if isinstance(milliseconds, int) and 0 < milliseconds < LONGEST_WAIT * 1000:
        return milliseconds / 1000
    return LONGEST_WAIT


def _replay(value: Any) -> Replay | None:
    if not isinstance(value, dict):
        return None
    since, limit = value.get("since"), value.get("limit", 25)
    if not (isinstance(since, int) and isinstance(limit, int)):
        raise JoinRefused("InvalidJoinPayload: replay needs since and limit as numbers")
    if not (0 < limit <= 25 and abs(since) < 10**13):
        raise JoinRefused("InvalidJoinPayload: replay needs a time in milliseconds, and at most 25")
    return Replay(since, limit)
