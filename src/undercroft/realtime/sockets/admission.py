"""On whose behalf a channel works, what that caller may do there, and until when."""

import sys
from collections.abc import Iterator
from typing import Any

import orjson
import structlog

from undercroft.foundation.access import Actor, Role
from undercroft.foundation.addresses import home_of
from undercroft.foundation.problems import Unauthorized
from undercroft.identity.auth.gate import Credentials, Gate
from undercroft.realtime.sockets.catalog import Catalog, Rule
from undercroft.realtime.sockets.channel import EVERYTHING, JoinRefused, Rights
from undercroft.realtime.sockets.judge import Caller, Judge, select_rows
from undercroft.realtime.sockets.socket import Socket

log = structlog.get_logger()

EXTENSIONS = ("broadcast", "presence", "persistence")
NEVER = float("inf")


class Admission:
    def __init__(self, gate: Gate, catalog: Catalog, judge: Judge) -> None:
        self._gate = gate
        self._catalog = catalog
        self._judge = judge

    async def key(self, api_key: str, origin: str | None) -> Actor:
        """Whose API key opens a socket. Raises `Unauthorized`; people's tokens are refused."""
        return await self._gate.admit(Credentials(api_key=api_key, origin=origin))

    async def caller(self, socket: Socket, token: Any) -> tuple[Actor, str]:
        """Who a channel is for, and by which token: the socket's key without another.

        Raises `Unauthorized`.
        """
        if not token or token == socket.api_key:
            return await self.key(socket.api_key, socket.origin), socket.api_key
        if not isinstance(token, str):
            raise Unauthorized
        actor = await self._gate.admit(Credentials(token=token, origin=socket.origin))
        if actor.half or not actor.role:
            raise Unauthorized
        return actor, sys.intern(token)  # one text for all channels of the token

    async def rights(self, actor: Actor, topic: str) -> Rights:
        """On a private topic, by the policies of `realtime.messages`. Raises `JoinRefused`."""
        if actor.role is Role.SERVICE:
            return EVERYTHING
        messages = await self._catalog.find("realtime", "messages")
        if messages is None:
            raise JoinRefused("Unauthorized: private channels are not set up")
        caller = as_caller(actor)
        rows = orjson.dumps(
            [{"topic": topic, "extension": name, "private": True} for name in EXTENSIONS]
        )

        async def passes(rule: Rule) -> set[int]:
            statement = select_rows(messages, "_undercroft_place, 0", rule.sql or "true")
            found = await self._judge.passing([caller], statement, rows, topic)
            return {place for _, place, _ in found}

        try:
            read = await passes(messages.reading(caller.role))
            write = await passes(messages.inserting(caller.role))
        except Judge.ERRORS as error:
            log.warning("channel_rights_unknown", cause=str(error))
            raise JoinRefused("UnableToConnectToDatabase: rights cannot be checked now") from error
        return Rights(0 in read, 0 in write, 1 in read, 1 in write, 2 in write)


def as_caller(actor: Actor) -> Caller:
    return Caller(actor.role.value, actor.claims)


def expiry(actor: Actor) -> float:
    """When the token ends, in seconds of the epoch."""
    value = orjson.loads(actor.claims).get("exp")
    return float(value) if isinstance(value, int | float) else NEVER


def subjects(actor: Actor) -> Iterator[str]:
    """The names under which a change of this caller's rights is announced."""
    if actor.user_id is not None:
        yield f"user:{actor.user_id}"
        yield f"session:{actor.session_id}"
    if actor.api_key_id is not None:
        yield f"api_key:{actor.api_key_id}"
        yield keys_of(f"user:{actor.api_key_owner_id}")
    if actor.organization_id is not None:
        yield f"organization:{actor.organization_id}"


def keys_of(subject: str) -> str:
    """The keys that somebody made. They count for their organization, not for their maker."""
    return f"keys of {subject}"


def tenant(actor: Actor) -> str | None:
    """Whose share of a worker the caller uses up: an account's, or an organization's by its keys.

    Keys of the whole installation have none.
    """
    if actor.organization_id is not None:
        return f"organization:{actor.organization_id}"
    return None if actor.user_id is None else f"user:{actor.user_id}"


def share(actor: Actor, address: str) -> str | None:
    """Whose share a message uses up: an address's, where only the anon key is shown.

    None for the service key, by which a customer's own servers speak.
    """
    if actor.role is Role.SERVICE:
        return None
    return tenant(actor) or f"address:{home_of(address)}"
