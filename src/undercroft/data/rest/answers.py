"""Answers by `Idempotency-Key`, kept for a replay in the transaction of what they answer.

The login role reads and writes them through two functions of the platform's schema. What is kept is
sealed, so that neither it nor whoever reads the table learns anything, and bound to its key: code
that got hold of that role cannot put one answer in the place of another.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

import orjson

from undercroft.data.rest.errors import RestError
from undercroft.data.rest.pool import Session
from undercroft.data.rest.request import HttpRequest
from undercroft.data.rest.response import Response

KEY_HEADER = "idempotency-key"
LONGEST_KEY = 255
LARGEST_ANSWER = 10_000_000  # bytes: for a day it takes room that nobody counts
SEAL = "idempotency"
_REPLAYED = (b"idempotency-replayed", b"true")
_TRUE = b"\1"  # as the server sends a boolean


class Seals(Protocol):
    def seal(self, purpose: str, content: bytes) -> bytes: ...

    def open(self, purpose: str, sealed: bytes) -> bytes: ...


class Key(NamedTuple):
    """Whose key it is and for what, and the digest of what came with it."""

    scope: bytes
    fingerprint: bytes


class AnswerStore:
    """Finds and keeps answers; `schema` holds `find_answer` and `keep_answer`.

    `who` names the caller of the request that is being served.
    """

    def __init__(self, seals: Seals, schema: str, who: Callable[[], str]) -> None:
        self._seals = seals
        self._who = who
        self._find = f"SELECT * FROM {schema}.find_answer($1)"  # noqa: S608 - our own schema
        self._keep = f"SELECT {schema}.keep_answer($1, $2, %d, $3)"

    def key_of(self, request: HttpRequest, body: bytes | None) -> Key | None:
        """The key that a request came with. Raises RestError for one that cannot be kept."""
        given = request.headers.get(KEY_HEADER)
        if given is None:
            return None
        if not 1 <= len(given) <= LONGEST_KEY:
            raise _refused(422, f"An Idempotency-Key has 1 to {LONGEST_KEY} characters")
        query = request.query.decode("latin-1")
        line = f"{self._who()}\nrows\n{request.method}\n{request.path}\n{query}\n{given}"
        digest = hashlib.sha256(repr(request.head.deciding).encode())
        digest.update(body or b"")
        return Key(hashlib.sha256(line.encode()).digest(), digest.digest())

    async def once(
        self, session: Session, key: Key, work: Callable[[], Awaitable[Response]]
    ) -> Response:
        """What was answered before, or what `work` answers, in the transaction that is open."""
        kept = await self._kept(session, key)
        if kept is not None:
            kept.headers.append(_REPLAYED)
            return kept
        response = await work()
        if len(response.body) > LARGEST_ANSWER:
            raise _refused(413, f"Answers of more than {LARGEST_ANSWER} bytes are not kept")
        # What others deferred runs while the session is still the caller's.
        session.pipeline.query("set constraints all immediate")
        session.pipeline.query("set local role none")
        sealed = self._seals.seal(SEAL, key.scope + _written(response))
        keep = self._keep % response.status
        session.pipeline.query(keep, [key.scope, key.fingerprint, sealed], binary=True)
        return response

    async def _kept(self, session: Session, key: Key) -> Response | None:
        """The answer given before, None for a new key, which is ours until the transaction ends."""
        session.pipeline.query(self._find, [key.scope], binary=True)
        row = (await session.sync())[-1]
        locked, known, sealed = (row.get_value(0, column) for column in range(3))
        if locked != _TRUE:
            raise _refused(409, "The first request with this Idempotency-Key still runs")
        if known is None or sealed is None:
            return None
        if known != key.fingerprint:
            raise _refused(422, "The Idempotency-Key came with another request before")
        content = self._seals.open(SEAL, sealed)
        if not content.startswith(key.scope):
            raise _refused(409, "The answer by this Idempotency-Key was tampered with")
        return _read(content[len(key.scope) :])


def _written(response: Response) -> bytes:
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers
    ]
    return orjson.dumps([response.status, headers]) + b"\n" + response.body


def _read(content: bytes) -> Response:
    head, _, body = content.partition(b"\n")
    status, headers = orjson.loads(head)
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return Response(status, pairs, body)


def _refused(status: int, message: str) -> RestError:
    return RestError(status, "UCB104", message)
