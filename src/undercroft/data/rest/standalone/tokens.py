"""Verifies bearer tokens as PostgREST does: signature, times, audience, role."""

import base64
import binascii
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import orjson

from undercroft.data.rest.errors import RestError
from undercroft.data.rest.recipes import Caller
from undercroft.data.rest.standalone.claim_path import find_claim, parse_claim_path
from undercroft.data.rest.standalone.settings import InvalidSettingError, JwtSettings
from undercroft.foundation.http.shortcut import Headers, Reply

SKEW = 30  # seconds by which clocks may differ
_SHORTEST_SECRET = 32
_FAMILIES = {
    "oct": ["HS256", "HS384", "HS512"],
    "RSA": ["RS256", "RS384", "RS512"],
    "EC": ["ES256", "ES384", "ES512"],
    "OKP": ["EdDSA"],
}
_ALGORITHMS = {name for family in _FAMILIES.values() for name in family}
_TIMES: dict[str, tuple[str, Callable[[float, int], bool]]] = {
    "exp": ("JWT expired", lambda value, now: value < now - SKEW),
    "nbf": ("JWT not yet valid", lambda value, now: value > now + SKEW),
    "iat": ("JWT issued at future", lambda value, now: value > now + SKEW),
}


class Key:
    """A key with the algorithms that its kind of key may be used with."""

    __slots__ = ("algorithms", "identifier", "key")

    def __init__(self, key: Any, algorithms: list[str], identifier: str | None = None) -> None:
        self.key = key
        self.algorithms = algorithms
        self.identifier = identifier


@dataclass(slots=True)
class TokenCounts:
    """What became of the cache of tokens so far."""

    requests: int = 0
    hits: int = 0
    evictions: int = 0


class CountedReply:
    """Counts the token, which was remembered, of a request that is answered by the shortcut."""

    def __init__(self, reply: Reply, counts: TokenCounts) -> None:
        self._reply = reply
        self._counts = counts

    @property
    def body(self) -> bytes | bytearray:
        return self._reply.body

    def answer(self, status: int, headers: Headers, body: bytes, ready: bytes = b"") -> None:
        self._reply.answer(status, headers, body, ready)
        self._counts.requests += 1
        self._counts.hits += 1

    def start_over(self) -> None:
        self._reply.start_over()


class TokenVerifier:
    """The `authenticate` of a standalone app. Verified tokens are remembered, within bounds.

    Their times are looked at on every request; only the signature is not checked again.
    """

    def __init__(
        self, settings: JwtSettings, anon_role: str | None, counts: TokenCounts | None = None
    ) -> None:
        self._counts = counts or TokenCounts()
        self._keys = read_keys(settings)
        self._audience = settings.audience
        self._path = parse_claim_path(settings.role_claim_key)
        self._anon_role = anon_role
        self._entries = settings.cache_entries
        self._verified: OrderedDict[str, tuple[dict[str, Any], Caller]] = OrderedDict()

    def recognise(self, headers: Mapping[str, str]) -> Caller | None:
        """Return who sent the request, if their token is remembered and still good.

        It is not counted: who cannot be answered at once is looked for again.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        known = self._verified.get(token.strip()) if scheme.lower() == "bearer" else None
        if known is None:
            return None
        claims, caller = known
        try:
            self._check(claims)
        except RestError:
            return None
        return caller

    async def __call__(self, headers: Mapping[str, str]) -> Caller:
        """Return who sent the request, or raise why it cannot be said."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return self._caller({})
        if self._keys is None:
            raise RestError(500, "PGRST300", "Server lacks JWT secret")
        claims, caller = self._verified_token(token.strip())
        self._check(claims)
        return caller

    def _caller(self, claims: dict[str, Any]) -> Caller:
        role = find_claim(claims, self._path)
        if role is None:
            role = self._anon_role
        if role is None:
            raise RestError(
                401,
                "PGRST302",
                "Anonymous access is disabled",
                headers=[(b"www-authenticate", b"Bearer")],
            )
        return Caller(role, orjson.dumps({**claims, "role": role}).decode())

    def _verified_token(self, token: str) -> tuple[dict[str, Any], Caller]:
        known = self._verified.get(token)
        self._counts.requests += 1
        if known is not None:
            self._counts.hits += 1
            self._verified.move_to_end(token)
            return known
        claims = self._verify(token)
        self._check(claims)
        known = claims, self._caller(claims)
        if self._entries:
            self._verified[token] = known
            if len(self._verified) > self._entries:
                self._verified.popitem(last=False)
                self._counts.evictions += 1
        return known

    def _verify(self, token: str) -> dict[str, Any]:
        if not token:
            raise _undecodable("Empty JWT is sent in Authorization header")
        parts = token.count(".") + 1
        if parts != 3:
            raise _undecodable(f"Expected 3 parts in JWT; got {parts}")
        try:
            header = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise _undecodable("JWT cryptographic operation failed") from error
        payload = self._signed_payload(token, header)
        try:
            claims = orjson.loads(payload)
        except orjson.JSONDecodeError as error:
            raise _invalid("Parsing claims failed") from error
        if not isinstance(claims, dict):
            raise _invalid("Parsing claims failed")
        return claims

    def _signed_payload(self, token: str, header: Mapping[str, Any]) -> bytes:
        algorithm = header.get("alg")
        if algorithm not in _ALGORITHMS:
            details = "JWT is unsecured but expected 'alg' was not 'none'"
            raise _undecodable(
                "Wrong or unsupported encoding algorithm",
                details if algorithm == "none" else None,
            )
        wanted = header.get("kid")
        candidates = [
            key
            for key in self._keys or ()
            if algorithm in key.algorithms and wanted in (None, key.identifier)
        ]
        if not candidates:
            raise _undecodable(
                "No suitable key or wrong key type", "No suitable key was found to decode the JWT"
            )
        for key in candidates:
            try:
                payload: bytes = jwt.api_jws.decode(token, key.key, algorithms=[algorithm])
            except jwt.PyJWTError:
                continue
            return payload
        raise _undecodable(
            "No suitable key or wrong key type", "None of the keys was able to decode the JWT"
        )

    def _check(self, claims: Mapping[str, Any]) -> None:
        now = int(time.time())
        for name, (message, refused) in _TIMES.items():
            value = claims.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _invalid(f"The JWT '{name}' claim must be a number")
            if refused(value, now):
                raise _invalid(message)
        self._check_audience(claims.get("aud"))

    def _check_audience(self, claim: Any) -> None:
        if claim is None:
            return
        audiences = [claim] if isinstance(claim, str) else claim
        if not isinstance(audiences, list) or not all(isinstance(item, str) for item in audiences):
            raise _invalid("The JWT 'aud' claim must be a string or an array of strings")
        if self._audience is not None and audiences and self._audience not in audiences:
            raise _invalid("JWT not in audience")


def read_keys(settings: JwtSettings) -> list[Key] | None:
    """Read the secret as a JWK set, a JWK, or as plain bytes; None without a secret.

    Plain bytes are for HS256 alone, the one algorithm that the shortest secret is long enough for.
    """
    if settings.secret is None:
        return None
    keys = _read_jwks(settings.secret)
    if keys is not None:
        return keys
    secret = settings.secret.encode()
    if settings.secret_is_base64:
        secret = _decode_base64(settings.secret)
        keys = _read_jwks(secret)
    if keys is not None:
        return keys
    if len(secret) < _SHORTEST_SECRET:
        raise InvalidSettingError("The JWT secret must be at least 32 characters long.")
    return [Key(secret, ["HS256"])]


def _read_jwks(text: str | bytes) -> list[Key] | None:
    """Read keys for signatures, or None if this is something else."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict) or not ("keys" in document or "kty" in document):
        return None
    items = document.get("keys", [document])
    if not isinstance(items, list):
        raise InvalidSettingError("jwt-secret holds a set of keys that cannot be read")
    return [
        _read_jwk(item)
        for item in items
        if not (isinstance(item, dict) and item.get("use") == "enc")
    ]


def _read_jwk(item: Any) -> Key:
    try:
        kind = item["kty"]
        parsed = jwt.PyJWK.from_dict(item)
    except (KeyError, TypeError, jwt.PyJWTError) as error:
        raise InvalidSettingError("jwt-secret holds a key that cannot be read") from error
    algorithm = item.get("alg")
    known = _FAMILIES.get(kind, [])
    return Key(parsed.key, [algorithm] if algorithm in known else known, item.get("kid"))


def _decode_base64(text: str) -> bytes:
    plain = text.strip().translate(str.maketrans("-_.", "+/="))
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise InvalidSettingError("jwt-secret is not Base64") from error


def _undecodable(message: str, details: str | None = None) -> RestError:
    return RestError(401, "PGRST301", message, details=details, headers=_challenge(message))


def _invalid(message: str) -> RestError:
    return RestError(401, "PGRST303", message, headers=_challenge(message))


def _challenge(message: str) -> list[tuple[bytes, bytes]]:
    value = f'Bearer error="invalid_token", error_description="{message}"'
    return [(b"www-authenticate", value.encode())]
