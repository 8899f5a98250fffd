"""JSON Web Tokens (RFC 7519): minted for a session, verified with everything pinned.

Claims carry GoTrue's names so that policies and clients written for Supabase work unchanged.
Rights are not in a token: they are read when it is used.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import jwt
import orjson

from undercroft.foundation.access import Role
from undercroft.foundation.ids import new_id
from undercroft.foundation.settings import AuthSettings
from undercroft.identity.auth.errors import InvalidToken
from undercroft.identity.auth.keys import Key, Keys

AUDIENCE = "authenticated"
LONGEST_TOKEN = 8192
API_KEY_LIFETIME = timedelta(days=3650)
SIGNER = jwt.PyJWS()
REQUIRED = ["iss", "aud", "exp", "iat", "jti", "token_type"]


class TokenType(StrEnum):
    ACCESS = "access"
    SESSION = "session"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class Subject:
    """What a session's tokens say about their user."""

    user_id: UUID
    session_id: UUID
    email: str | None
    phone: str | None
    app_metadata: dict[str, Any]
    user_metadata: dict[str, Any]
    aal: str
    amr: list[Any]
    origin: str | None = None


class Tokens:
    def __init__(self, keys: Keys, settings: AuthSettings) -> None:
        self._keys = keys
        self._settings = settings

    async def mint(
        self, subject: Subject, kind: TokenType, lifetime: timedelta, now: datetime
    ) -> str:
        claims = {
            "sub": str(subject.user_id),
            "role": Role.AUTHENTICATED.value,
            "session_id": str(subject.session_id),
            "email": subject.email or "",
            "phone": subject.phone or "",
            "app_metadata": subject.app_metadata,
            "user_metadata": subject.user_metadata,
            "aal": subject.aal,
            "amr": subject.amr,
        }
        if subject.origin:
            claims["origin"] = subject.origin
        return self._sign(await self._keys.newest(), claims, kind, lifetime, now)

    async def mint_api_key(self, key_id: UUID, role: Role, now: datetime) -> str:
        claims = {"role": role.value, "jti": str(key_id)}
        return self._sign(
            await self._keys.newest(), claims, TokenType.API_KEY, API_KEY_LIFETIME, now
        )

    def _sign(
        self, key: Key, claims: dict[str, Any], kind: TokenType, lifetime: timedelta, now: datetime
    ) -> str:
        issued = int(now.timestamp())
        base = {
            "iss": self._settings.issuer,
            "aud": AUDIENCE,
            "iat": issued,
            "exp": issued + int(lifetime.total_seconds()),
            "jti": str(new_id()),
            "token_type": kind.value,
        }
        content = as_json(base | claims)
        return SIGNER.encode(content, key.signing, key.algorithm, headers={"kid": key.kid})

    async def session_of(self, token: str) -> tuple[UUID, UUID] | None:
        """Return (session id, user id) of a genuine token, expired or not: enough to log out."""
        try:
            claims = await self.verify(token, TokenType.ACCESS, TokenType.SESSION, expired=True)
            return UUID(claims["session_id"]), UUID(claims["sub"])
        except (InvalidToken, KeyError, TypeError, ValueError, AttributeError):
            return None

    async def verify(self, token: str, *kinds: TokenType, expired: bool = False) -> dict[str, Any]:
        """Return the claims of a token of one of `kinds`. Raises `InvalidToken`.

        The algorithm is the key's own, never the header's word, so neither `none` nor a public
        key used as an HMAC secret gets through.
        """
        if len(token) > LONGEST_TOKEN:
            raise InvalidToken
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = await self._keys.find(kid) if isinstance(kid, str) else None
            if key is None:
                raise InvalidToken
            claims: dict[str, Any] = jwt.decode(
                token,
                key.verifying,
                algorithms=[key.algorithm],
                audience=AUDIENCE,
                issuer=self._settings.issuer,
                leeway=self._settings.clock_leeway,
                options={"require": REQUIRED, "verify_exp": not expired},
            )
        except (jwt.PyJWTError, ValueError) as error:
            raise InvalidToken from error
        if claims["token_type"] not in kinds:
            raise InvalidToken
        return claims


def as_json(claims: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(claims)
    except TypeError:  # a number that JSON in Postgres holds and this fast writer does not
        return json.dumps(claims).encode()
