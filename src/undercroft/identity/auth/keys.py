"""Signing keys (RFC 7517/7518): kept sealed in Postgres, so every node signs and verifies alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import Keyring, new_secret
from undercroft.foundation.db import Database, notify
from undercroft.foundation.ids import new_id
from undercroft.identity.auth.models import SigningKey

SEAL = "signing-key"
CHANNEL = "undercroft_keys"
# An unknown key id makes us look once more; a flood of forged ids must not become a flood of reads.
RELOAD_SECONDS = 1.0
TRIES = 3
RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class Key:
    """One loaded key. `public_jwk` is None for a shared secret, which is never published."""

    kid: str
    algorithm: str
    signing: Any
    verifying: Any
    public_jwk: dict[str, Any] | None
    retires_at: datetime | None = None

    @property
    def is_retired(self) -> bool:
        return self.retires_at is not None and self.retires_at <= utc_now()


class Keys:
    """All keys that verify until they retire; the newest of those that stay signs.

    Where `hears` says that nobody tells us of changes, they are read again every second.
    """

    def __init__(
        self, database: Database, keyring: Keyring, hears: Callable[[], bool] = lambda: True
    ) -> None:
        self._hears = hears
        self._database = database
        self._keyring = keyring
        self._keys: dict[str, Key] = {}
        self._loaded_at = float("-inf")
        self._generation = 0

    async def load(self) -> Mapping[str, Key]:
        """Read the keys, and keep them unless they changed meanwhile: nobody tells us twice."""
        for _ in range(TRIES):
            generation = self._generation
            keys = await self._read()
            if generation == self._generation:
                self._keys = keys
                self._loaded_at = time.monotonic()
                break
        return keys

    def forget(self) -> None:
        """Load again at the next use; a notification said that keys changed."""
        self._generation += 1
        self._keys = {}
        self._loaded_at = float("-inf")

    async def newest(self) -> Key:
        return next(iter((await self._current()).values()))

    async def find(self, kid: str) -> Key | None:
        keys = await self._current()
        if kid not in keys and self._are_old:
            keys = await self.load()
        key = keys.get(kid)
        return None if key is None or key.is_retired else key

    async def published(self) -> list[dict[str, Any]]:
        """The public half of every key, for `/.well-known/jwks.json`."""
        keys = await self._current()
        return [key.public_jwk for key in keys.values() if key.public_jwk and not key.is_retired]

    @property
    def _are_old(self) -> bool:
        return time.monotonic() - self._loaded_at > RELOAD_SECONDS

    async def _current(self) -> Mapping[str, Key]:
        if self._keys and (self._hears() or not self._are_old):
            return self._keys
        return await self.load()

    async def _read(self) -> dict[str, Key]:
        async with self._database.unit_of_work() as session:
            statement = (
                select(SigningKey)
                .where(or_(SigningKey.retired_at.is_(None), SigningKey.retired_at > utc_now()))
                .order_by(
                    SigningKey.retired_at.is_(None).desc(),
                    SigningKey.created_at.desc(),
                    SigningKey.kid.desc(),
                )
            )
            rows = (await session.scalars(statement)).all()
        return {row.kid: self._open(row) for row in rows}

    def _open(self, row: SigningKey) -> Key:
        secret = self._keyring.open(SEAL, row.sealed_key)
        if row.algorithm == "HS256":
            return Key(row.kid, row.algorithm, secret, secret, None, row.retired_at)
        private: Any = load_pem_private_key(secret, password=None)
        public = private.public_key()
        algorithm: Any = jwt.get_algorithm_by_name(row.algorithm)
        jwk = orjson.loads(algorithm.to_jwk(public))
        jwk |= {"kid": row.kid, "alg": row.algorithm, "use": "sig"}
        return Key(row.kid, row.algorithm, private, public, jwk, row.retired_at)


async def create_key(session: AsyncSession, keyring: Keyring, algorithm: str) -> SigningKey:
    """Make the key that signs from now on; every process learns of it at commit."""
    row = SigningKey(
        kid=new_id().hex, algorithm=algorithm, sealed_key=keyring.seal(SEAL, _generate(algorithm))
    )
    session.add(row)
    await notify(session, CHANNEL)
    return row


def _generate(algorithm: str) -> bytes:
    private: Any
    match algorithm:
        case "HS256":
            return new_secret(48).encode()
        case "ES256":
            private = ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            private = ed25519.Ed25519PrivateKey.generate()
        case _:
            private = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    pem: bytes = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem
