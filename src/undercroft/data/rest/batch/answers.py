"""Answers kept for a replay, in the transaction of the batch that they answer.

The login role reads and writes them through two functions of the platform's schema; what is kept is
sealed, so that neither it nor whoever reads the table learns anything.
"""

import hashlib
from typing import Protocol

import orjson

from undercroft.data.rest.batch.errors import key_refused
from undercroft.data.rest.pool import Session
from undercroft.data.rest.recipes import Caller

LONGEST_KEY = 255
SEAL = "idempotency"
_TRUE = b"\1"  # as the server sends a boolean


class Seals(Protocol):
    def seal(self, purpose: str, content: bytes) -> bytes: ...

    def open(self, purpose: str, sealed: bytes) -> bytes: ...


class AnswerStore:
    """Finds and keeps answers; `schema` holds `find_answer` and `keep_answer`."""

    def __init__(self, seals: Seals, schema: str) -> None:
        self._seals = seals
        self._find = f"SELECT * FROM {schema}.find_answer($1)"  # noqa: S608 - our own schema
        self._keep = f"SELECT {schema}.keep_answer($1, $2, 200, $3)"

    async def find(self, session: Session, scope: bytes, fingerprint: bytes) -> bytes | None:
        """The answer given before, None for a new key, which is ours until the transaction ends."""
        session.pipeline.query(self._find, [scope], binary=True)
        row = (await session.sync())[-1]
        locked, known, sealed = (row.get_value(0, column) for column in range(3))
        if locked != _TRUE:
            raise key_refused(409, "The first batch with this Idempotency-Key still runs")
        if known is None or sealed is None:
            return None
        if known != fingerprint:
            raise key_refused(422, "The Idempotency-Key came with another body before")
        return self._seals.open(SEAL, sealed)

    def keep(self, session: Session, scope: bytes, fingerprint: bytes, answer: bytes) -> None:
        """Queue the keeping of an answer."""
        sealed = self._seals.seal(SEAL, answer)
        session.pipeline.query(self._keep, [scope, fingerprint, sealed], binary=True)


def scope_of(caller: Caller, key: str, query: bytes) -> bytes:
    """One caller's key. People who are not signed in share the anon key, so they have none."""
    if not 1 <= len(key) <= LONGEST_KEY:
        raise key_refused(422, f"An Idempotency-Key has 1 to {LONGEST_KEY} characters")
    claims = orjson.loads(caller.claims)
    who = claims.get("api_key") or claims.get("sub")
    if who is None:
        if caller.role != "service_role":
            raise key_refused(401, "An Idempotency-Key needs a signed-in caller")
        who = caller.role
    line = f"{who}\nbatch\n{query.decode('latin-1')}\n{key}"
    return hashlib.sha256(line.encode()).digest()
