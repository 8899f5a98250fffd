"""Broadcasts by HTTP, as the clients' `httpSend` and servers without a socket make them."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from undercroft.foundation.access import ANONYMOUS, Actor
from undercroft.foundation.problems import Unauthorized
from undercroft.foundation.settings import RealtimeSettings
from undercroft.identity.auth.credentials import read_credentials
from undercroft.identity.auth.gate import Gate
from undercroft.realtime.sockets.admission import Admission, share
from undercroft.realtime.sockets.channel import PREFIX, JoinRefused
from undercroft.realtime.sockets.protocol import LONGEST_EVENT, LONGEST_TOPIC
from undercroft.realtime.sockets.rates import WINDOW_SECONDS, Rates
from undercroft.realtime.sockets.rooms import Rooms
from undercroft.realtime.sockets.stored import NotStored, StoredMessages, read_lifetime

BASE = "/realtime/v1/api/broadcast"
MOST_MESSAGES = 100


class Refused(Exception):  # noqa: N818 - says what happened
    """An answer that is no success, in the body that the clients read."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class Posts:
    def __init__(
        self,
        gate: Gate,
        admission: Admission,
        rooms: Rooms,
        stored: StoredMessages,
        rates: Rates,
        settings: RealtimeSettings,
    ) -> None:
        self._gate = gate
        self._admission = admission
        self._rooms = rooms
        self._stored = stored
        self._rates = rates
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Refused as refusal:
            body = {"error": refusal.message, "message": refusal.message}
            response = JSONResponse(body, refusal.status, refusal.headers)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        raw = request.scope.get("raw_path") or request.url.path.encode()
        path = raw.partition(b"?")[0].decode("latin-1")
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": "POST, OPTIONS"})
        if path != BASE and not path.startswith(f"{BASE}/"):
            raise Refused(404, "There is nothing here.")
        if request.method != "POST":
            raise Refused(405, "Only POST is allowed.")
        actor = await self._caller(request)
        body = await request.body()
        messages = _messages(body) if path == BASE else []
        await self._count(actor, request, len(messages) or 1)
        if path == BASE:
            await self._post_many(actor, messages)
        else:
            await self._post_one(actor, path[len(BASE) + 1 :], request, body)
        return Response(status_code=202)

    async def _count(self, actor: Actor, request: Request, messages: int) -> None:
        address = request.client.host if request.client else "unknown"
        if not await self._rates.may_send(share(actor, address), messages):
            headers = {"Retry-After": str(WINDOW_SECONDS)}
            raise Refused(429, "ClientMessageRateLimitReached: Too many messages", headers)

    async def _caller(self, request: Request) -> Actor:
        try:
            actor = await self._gate.admit(read_credentials(request.headers))
        except Unauthorized as error:
            raise Refused(401, "The token is not valid.") from error
        if actor is ANONYMOUS or actor.half:
            raise Refused(401, "Send an apikey header.")
        return actor

    async def _post_many(self, actor: Actor, entries: list[Any]) -> None:
        """All or none: rights are checked before the first is sent."""
        messages = [_message(entry) for entry in entries]
        for topic, _, _, private in messages:
            await self._check(actor, topic, private=private)
        for topic, event, payload, private in messages:
            await self._rooms.broadcast((private, topic), event, payload)

    async def _post_one(self, actor: Actor, rest: str, request: Request, body: bytes) -> None:
        parts = rest.split("/")
        if len(parts) != 3 or parts[1] != "events":
            raise Refused(404, "There is nothing here.")
        topic, event = _named(unquote(parts[0]), unquote(parts[2]))
        query = request.query_params
        private = query.get("private") == "true"
        lifetime = query.get("persist[ttl]")
        stored = query.get("persist") == "true" or lifetime is not None
        await self._check(actor, topic, private=private, stored=stored)
        binary = request.headers.get("content-type", "").startswith("application/octet-stream")
        payload = body if binary else _json(body)
        if not stored:
            await self._rooms.broadcast((private, topic), event, payload, binary=binary)
            return
        if binary or not private:
            raise Refused(422, "Only JSON on a private topic can be stored.")
        try:
            await self._stored.store(topic, event, payload, read_lifetime(_number(lifetime)))
        except NotStored as error:
            raise Refused(422 if error.lasting else 503, str(error)) from error

    async def _check(
        self, actor: Actor, topic: str, *, private: bool, stored: bool = False
    ) -> None:
        if not private:
            if not self._settings.public_channels:
                raise Refused(403, "Only private channels are allowed.")
            return
        try:
            rights = await self._admission.rights(actor, topic)
        except JoinRefused as error:
            raise Refused(503, str(error)) from error
        if not rights.write_broadcast:
            raise Refused(403, "You may not send on this topic.")
        if stored and not rights.store_broadcast:
            raise Refused(403, "You may not store on this topic.")


def _messages(body: bytes) -> list[Any]:
    content = orjson.loads(_json(body))
    messages = content.get("messages") if isinstance(content, dict) else None
    if not isinstance(messages, list) or not 0 < len(messages) <= MOST_MESSAGES:
        raise Refused(422, f"messages must be a list of 1 to {MOST_MESSAGES}.")
    return messages


def _message(entry: Any) -> tuple[str, str, bytes, bool]:
    if not isinstance(entry, dict):
        raise Refused(422, "A message is an object.")
    topic, event = _named(entry.get("topic"), entry.get("event"))
    return topic, event, orjson.dumps(entry.get("payload", {})), entry.get("private") is True


def _named(topic: Any, event: Any) -> tuple[str, str]:
    for value, longest in ((topic, LONGEST_TOPIC - len(PREFIX)), (event, LONGEST_EVENT)):
        if not isinstance(value, str) or not 0 < len(value.encode()) <= longest or "\0" in value:
            raise Refused(422, "topic and event must be short text.")
    return topic, event


def _json(body: bytes) -> bytes:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, "The body is not JSON.") from error
    return body


def _number(text: str | None) -> int | str | None:
    return int(text) if text and text.isdigit() and len(text) < 10 else text
