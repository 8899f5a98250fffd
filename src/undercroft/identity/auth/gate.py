"""From credentials to an `Actor`, without a query for a token seen before.

What was found out about a token is kept until the token expires, and dropped the moment its
session ends, its user changes or rights change: the transaction that does so sends NOTIFY, and
every process hears it after the commit. A process that cannot listen trusts what it keeps for
half a second only.
"""

import math
import time
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import ANONYMOUS, Actor, HalfSignIn, Role
from undercroft.foundation.crypto import sha256
from undercroft.foundation.db import Database, Listener, notify
from undercroft.foundation.settings import AuthSettings
from undercroft.identity.auth.errors import InvalidToken
from undercroft.identity.auth.keys import CHANNEL as KEYS_CHANNEL
from undercroft.identity.auth.tokens import Tokens, TokenType, as_json
from undercroft.identity.users.models import UserStatus

CHANNEL = "undercroft_auth"
EVERYONE = "everyone"
MOST_KEPT = 20_000
DEAF_SECONDS = 0.5
# Signing keys retire by the clock, of which nobody is notified: look again now and then.
LONGEST_SECONDS = 60.0
TRIES = 3
# Authenticator assurance levels as GoTrue names them; a second factor was shown at the second.
HALF, FULL = "aal1", "aal2"
SECOND_FACTORS = frozenset({"totp", "webauthn", "recovery_code"})

LIVE_SESSION = text("""
    SELECT u.status, u.language, u.email, u.phone, u.app_metadata, u.user_metadata, s.aal, s.amr,
           EXISTS (SELECT FROM auth.factors f
                    WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL) AS has_second_factor,
           array_agg(DISTINCT p.permission) FILTER (WHERE p.permission IS NOT NULL) AS permissions,
           coalesce(bool_or(g.codename = 'super_admin'), false) AS is_superuser
      FROM auth.sessions s
      JOIN auth.users u ON u.id = s.user_id
      LEFT JOIN auth.user_groups ug ON ug.user_id = u.id
      LEFT JOIN auth.groups g ON g.id = ug.group_id AND g.is_active
      LEFT JOIN auth.group_permissions p ON p.group_id = g.id
     WHERE s.id = :session_id AND s.user_id = :user_id
       AND s.ended_at IS NULL AND s.expires_at > now()
     GROUP BY u.id, s.id
""")
LIVE_ROLE_KEY = text(
    "SELECT role FROM auth.api_keys WHERE id = :id AND role = :role AND revoked_at IS NULL"
)
# A key has what it was given and its creator still holds; in an organization, while the creator
# is a member of it.
LIVE_API_KEY = text("""
    SELECT k.id, k.organization_id, k.created_by, k.expires_at,
           ARRAY(SELECT kp.permission FROM auth.api_key_permissions kp
                  WHERE kp.api_key_id = k.id AND auth.holds(k.created_by, kp.permission)
           ) AS permissions
      FROM auth.api_keys k
      JOIN auth.users u ON u.id = k.created_by AND u.status IN ('active', 'unverified')
     WHERE k.token_hash = :hash AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > now())
       AND (k.organization_id IS NULL OR EXISTS (
           SELECT FROM auth.memberships m
            WHERE m.organization_id = k.organization_id AND m.user_id = k.created_by))
""")
NOTE_USE = text("""
    UPDATE auth.api_keys SET last_used_at = now()
     WHERE id = :id AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
""")
API_KEY_PREFIX = "uck_"
# Kept so long at most, and its use is noted when it is looked up: a write a minute, not a request.
API_KEY_SECONDS = 60.0


class Credentials(NamedTuple):
    """What a request brought along. `origin` matters only for tokens bound to one."""

    token: str | None = None
    api_key: str | None = None
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    actor: Actor
    good_until: float
    origin: str | None = None
    subjects: tuple[str, ...] = ()


async def announce_session(session: AsyncSession, session_id: UUID) -> None:
    """Tell every process, at commit, that this session is over."""
    await notify(session, CHANNEL, f"session:{session_id}")


async def announce_user(session: AsyncSession, user_id: UUID) -> None:
    """Tell every process, at commit, to look at this user's rights and sessions anew."""
    await notify(session, CHANNEL, f"user:{user_id}")


async def announce_api_key(session: AsyncSession, key_id: UUID) -> None:
    """Tell every process, at commit, that this key is over."""
    await notify(session, CHANNEL, f"api_key:{key_id}")


async def announce_everyone(session: AsyncSession) -> None:
    """As `announce_user` for a change that touches many, such as a group's permissions."""
    await notify(session, CHANNEL, EVERYONE)


class Gate:
    def __init__(
        self, database: Database, tokens: Tokens, listener: Listener, settings: AuthSettings
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._listener = listener
        self._step_up_window = settings.step_up_window.total_seconds()
        self._leeway = settings.clock_leeway.total_seconds()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._by_subject: dict[str, set[str]] = defaultdict(set)
        self._epoch = 0
        listener.on(CHANNEL, self._forget_subject)
        listener.on(KEYS_CHANNEL, lambda _payload: self._forget_all())
        listener.when_deaf(self._forget_all)

    def recall(self, credentials: Credentials) -> Actor | None:
        """Return who calls as `admit` would, if nothing has to be looked up for it."""
        token, api_key, origin = credentials.token, credentials.api_key, credentials.origin
        if api_key and api_key != token:
            key = self._recall(api_key, origin)
            if key is None or key.token_type != TokenType.API_KEY:
                return None
            if not token:
                return key
        return self._recall(token, origin) if token else None

    def _recall(self, token: str, origin: str | None) -> Actor | None:
        kept = self._kept.get(token)
        if kept is None or kept.good_until < time.time() or (kept.origin and kept.origin != origin):
            return None
        return kept.actor

    async def admit(self, credentials: Credentials) -> Actor:
        """Return who calls; ANONYMOUS for nobody. Raises `InvalidToken` for bad credentials."""
        if credentials.api_key and credentials.api_key != credentials.token:
            key = await self._look(credentials.api_key, credentials.origin)
            if key.token_type != TokenType.API_KEY:
                raise InvalidToken
            if not credentials.token:
                return key
        if not credentials.token:
            return ANONYMOUS
        return await self._look(credentials.token, credentials.origin)

    async def _look(self, token: str, origin: str | None) -> Actor:
        kept = self._kept.get(token)
        if kept is None or kept.good_until < time.time():
            kept = await self._find_out(token)
        if kept.origin and kept.origin != origin:
            raise InvalidToken
        return kept.actor

    async def _find_out(self, token: str) -> Kept:
        opaque = token.startswith(API_KEY_PREFIX)
        for _ in range(TRIES):
            epoch = self._epoch
            kept = await (self._read_api_key(token) if opaque else self._read_token(token))
            if epoch == self._epoch:
                self._keep(token, kept)
                break
            # Something ended while we read, a key or a session; what we read may be from before it.
        return kept

    async def _read_token(self, token: str) -> Kept:
        claims = await self._tokens.verify(token, *TokenType)
        actor = await self._read_actor(claims)
        good_until = self._good_until(float(claims["exp"]) + self._leeway)
        return Kept(actor, good_until, claims.get("origin"), _subjects(actor))

    async def _read_api_key(self, token: str) -> Kept:
        async with self._database.unit_of_work() as session:
            row = (await session.execute(LIVE_API_KEY, {"hash": sha256(token)})).one_or_none()
            if row is None:
                raise InvalidToken
            await session.execute(NOTE_USE, {"id": row.id})
        expiry = row.expires_at.timestamp() if row.expires_at else math.inf
        return Kept(
            _key_actor(row),
            self._good_until(min(expiry, time.time() + API_KEY_SECONDS)),
            subjects=(f"api_key:{row.id}", f"user:{row.created_by}"),
        )

    async def _read_actor(self, claims: Mapping[str, Any]) -> Actor:
        if claims["token_type"] == TokenType.API_KEY:
            return await self._read_role_key(claims)
        try:
            ids = {"session_id": UUID(claims["session_id"]), "user_id": UUID(claims["sub"])}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidToken from error
        async with self._database.unit_of_work() as session:
            row = (await session.execute(LIVE_SESSION, ids)).one_or_none()
        if row is None or not UserStatus(row.status).may_sign_in:
            raise InvalidToken
        if row.has_second_factor and row.aal != FULL:
            return replace(ANONYMOUS, half=HalfSignIn(**ids), language=row.language)
        return Actor(
            role=Role.AUTHENTICATED,
            claims=as_json({**claims, **_present_claims(row)}).decode(),
            language=row.language,
            permissions=frozenset(row.permissions or ()),
            is_superuser=row.is_superuser,
            token_type=claims["token_type"],
            has_second_factor=row.has_second_factor,
            fresh_until=self._fresh_until(row),
            user_id=ids["user_id"],
            session_id=ids["session_id"],
        )

    def _fresh_until(self, row: Any) -> float:
        """Some time after the person last showed the strongest thing their account has."""
        shown = [
            entry["timestamp"]
            for entry in row.amr
            if entry["method"] in SECOND_FACTORS or not row.has_second_factor
        ]
        return max(shown, default=0) + self._step_up_window

    async def _read_role_key(self, claims: Mapping[str, Any]) -> Actor:
        try:
            ids = {"id": UUID(claims["jti"]), "role": claims["role"]}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidToken from error
        async with self._database.unit_of_work() as session:
            row = (await session.execute(LIVE_ROLE_KEY, ids)).one_or_none()
        if row is None:
            raise InvalidToken
        role = Role(row.role)
        # The service key is the operator's own: it passes every access rule, as its Postgres
        # role passes row security.
        return Actor(
            role=role,
            claims=orjson.dumps(claims).decode(),
            is_superuser=role is Role.SERVICE,
            token_type=TokenType.API_KEY,
        )

    def _good_until(self, expiry: float) -> float:
        longest = LONGEST_SECONDS if self._listener.hearing else DEAF_SECONDS
        return min(expiry, time.time() + longest)

    def _keep(self, token: str, kept: Kept) -> None:
        if len(self._kept) >= MOST_KEPT:
            self._drop(next(iter(self._kept)))
        self._kept[token] = kept
        for subject in kept.subjects:
            self._by_subject[subject].add(token)

    def _drop(self, token: str) -> None:
        kept = self._kept.pop(token, None)
        for subject in kept.subjects if kept else ():
            tokens = self._by_subject.get(subject, set())
            tokens.discard(token)
            if not tokens:
                self._by_subject.pop(subject, None)

    def _forget_subject(self, subject: str) -> None:
        if subject == EVERYONE:
            self._forget_all()
            return
        self._epoch += 1
        for token in tuple(self._by_subject.get(subject, ())):
            self._drop(token)

    def _forget_all(self) -> None:
        self._epoch += 1
        self._kept.clear()
        self._by_subject.clear()


def _present_claims(row: Any) -> dict[str, Any]:
    """What policies see of the account as it is now, whatever it was when the token was signed.

    An address that was given up must not open another row, nor metadata that was taken away.
    """
    return {
        "email": row.email or "",
        "phone": row.phone or "",
        "app_metadata": row.app_metadata,
        "user_metadata": row.user_metadata,
        "aal": row.aal,
        "amr": row.amr,
    }


def _key_actor(row: Any) -> Actor:
    """A key's claims are its own: `auth.uid()` is null for it, `auth.has` asks for the key."""
    claims = {"role": Role.AUTHENTICATED.value, "api_key": str(row.id)}
    return Actor(
        role=Role.AUTHENTICATED,
        claims=orjson.dumps(claims).decode(),
        permissions=frozenset(row.permissions),
        token_type=TokenType.API_KEY,
        api_key_id=row.id,
        api_key_owner_id=row.created_by,
        organization_id=row.organization_id,
    )


def _subjects(actor: Actor) -> tuple[str, ...]:
    if actor.half:
        return (f"session:{actor.half.session_id}", f"user:{actor.half.user_id}")
    if actor.user_id is None:
        return ()
    return (f"session:{actor.session_id}", f"user:{actor.user_id}")
