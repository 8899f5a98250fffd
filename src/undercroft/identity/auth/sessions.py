"""Sessions: carried on by refreshes, ended once and for all. How they start is in `starting.py`.

A refresh token's successor is computed from it (HMAC under a key of ours), so racing refreshes of
one token get the same successor without any token being stored.
"""

import base64
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.crypto import new_secret, sha256
from undercroft.foundation.db import PageRequest, Sorts, paginate
from undercroft.foundation.jobs import publish
from undercroft.identity.auth.errors import InvalidToken, RefreshTokenReused, SessionNotFound
from undercroft.identity.auth.events import SessionEnded, SignInProven
from undercroft.identity.auth.gate import (
    FULL,
    SECOND_FACTORS,
    announce_session,
    announce_user,
)
from undercroft.identity.auth.models import RefreshToken, UserSession
from undercroft.identity.auth.tokens import Subject, TokenType
from undercroft.identity.parts import Identity
from undercroft.identity.users.models import User, UserStatus

SUCCESSOR = "refresh-successor"


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a sign-in or a refresh hands out."""

    access_token: str
    session_token: str
    refresh_token: str
    session_id: UUID
    expires_in: int
    # An account, or a row with what callers see of one.
    user: Any
    second_factors: tuple[str, ...] = ()


async def show_again(
    session: AsyncSession,
    identity: Identity,
    session_id: UUID,
    *,
    method: str,
    now: datetime,
) -> SignIn:
    """Note that the person of a live session proved again who they are, and renew its tokens.

    With a second factor the session is fully open from then on. The chain of refresh tokens starts
    anew. Raises `InvalidToken` when the session has ended meanwhile.
    """
    statement = (
        select(UserSession)
        .where(UserSession.id == session_id, UserSession.ended_at.is_(None))
        .with_for_update()
    )
    row: UserSession | None = await session.scalar(statement)
    if row is None:
        raise InvalidToken
    row.amr = [entry for entry in row.amr if entry["method"] != method] + [shown(method, now)]
    row.aal = FULL if method in SECOND_FACTORS else row.aal
    row.last_used_at, refresh = now, new_secret()
    await session.execute(delete(RefreshToken).where(RefreshToken.session_id == session_id))
    session.add(RefreshToken(token_hash=sha256(refresh), session_id=row.id, issued_at=now))
    await session.flush()
    await announce_session(session, session_id)
    publish(session, SignInProven(row.user_id, row.id, method, by=row.user_id))
    user = await session.get_one(User, row.user_id)
    subject = subject_of(identity, user, row, user.id, row.id)
    return await mint(identity, subject, refresh, now, user)


# What tokens and their answers say of an account, beside when it was last seen and changed.
ACCOUNT = """
    u.id, u.status, u.email, u.phone, u.username, u.app_metadata, u.user_metadata, u.first_name,
    u.middle_name, u.last_name, u.display_name, u.picture_url, u.language, u.user_type,
    u.email_verified_at, u.phone_verified_at, u.invited_by, u.created_at
"""
# As text: a type that the driver does not know costs each new connection 8 ms of Postgres.
FACTORS = """
    SELECT DISTINCT f.type::text FROM auth.factors f
     WHERE f.user_id = u.id AND f.confirmed_at IS NOT NULL ORDER BY 1
"""
# One statement and a transaction by itself, because this is what clients call most. Who waited for
# a racing refresh of the same token sees it used, and changes nothing.
ROTATE = text(f"""
    WITH found AS (
        SELECT {ACCOUNT}, u.last_sign_in_at, u.updated_at, ARRAY({FACTORS}) AS factors,
               t.used_at, t.token_hash, s.id AS session_id, s.aal, s.amr, s.origin, s.ended_at,
               s.expires_at
          FROM auth.refresh_tokens t
          JOIN auth.sessions s ON s.id = t.session_id
          JOIN auth.users u ON u.id = s.user_id
         WHERE t.token_hash = :hash
           FOR UPDATE OF t
    ), live AS (
        SELECT * FROM found
         WHERE used_at IS NULL AND ended_at IS NULL AND expires_at > :now
           AND status IN ('active', 'unverified')
           AND (origin IS NULL OR origin = :origin OR NOT :bound)
    ), used AS (
        UPDATE auth.refresh_tokens t SET used_at = :now
          FROM live WHERE t.token_hash = live.token_hash
    ), issued AS (
        INSERT INTO auth.refresh_tokens (token_hash, session_id, issued_at)
        SELECT :successor, session_id, :now FROM live
    ), seen AS (
        UPDATE auth.sessions s SET last_used_at = :now, expires_at = :until
          FROM live WHERE s.id = live.session_id
    )
    SELECT * FROM found
""")  # noqa: S608 - our own columns


async def refresh_session(
    identity: Identity, refresh: str, *, origin: str | None, now: datetime
) -> SignIn:
    """Exchange a refresh token for its successor and new tokens.

    Shown again within the replay window it gives the same successor: clients race, and a race is
    no theft. Later it ends the session. Raises `InvalidToken`, also from another `origin` than the
    session is bound to, and `RefreshTokenReused`.
    """
    bound = identity.settings.bind_origin
    successor = _successor(identity, refresh)
    values = {
        "hash": sha256(refresh),
        "successor": sha256(successor),
        "now": now,
        "until": now + identity.settings.refresh_token_lifetime,
        "origin": origin,
        "bound": bound,
    }
    found = await identity.database.run_alone(ROTATE, values)
    if found is None or not _is_live(found, now):
        raise InvalidToken
    if found.used_at and now - found.used_at > identity.settings.refresh_replay_window:
        await _end_stolen(identity, found.session_id)
        raise RefreshTokenReused
    if bound and found.origin not in {None, origin}:
        raise InvalidToken
    factors = () if found.aal == FULL else tuple(found.factors)
    subject = subject_of(identity, found, found, found.id, found.session_id)
    return await mint(identity, subject, successor, now, found, factors)


async def end_session(
    session: AsyncSession, session_id: UUID, *, user_id: UUID, reason: str
) -> list[UUID]:
    """End one session of `user_id`; every token of it stops at the next request everywhere."""
    ended = await _end(session, UserSession.id == session_id, user_id, reason)
    await announce_session(session, session_id)
    return ended


async def end_all_sessions(
    session: AsyncSession, user_id: UUID, *, reason: str, but: UUID | None = None
) -> list[UUID]:
    """End every session of a user, except `but`."""
    others = UserSession.id != but if but else UserSession.id.is_not(None)
    ended = await _end(session, others, user_id, reason)
    await announce_user(session, user_id)
    return ended


async def list_sessions(
    session: AsyncSession, user_id: UUID, page: PageRequest
) -> tuple[list[UserSession], str | None, int | None]:
    """Live sessions, newest use first."""
    statement = select(UserSession).where(
        UserSession.user_id == user_id,
        UserSession.ended_at.is_(None),
        UserSession.expires_at > text("now()"),
    )
    keys = (UserSession.last_used_at, UserSession.id)
    sorts: Sorts = {
        "last_used_at": UserSession.last_used_at,
        "created_at": UserSession.created_at,
        "expires_at": UserSession.expires_at,
    }
    return await paginate(session, statement, page, keys=keys, sorts=sorts)


async def end_own_session(session: AsyncSession, user_id: UUID, session_id: UUID) -> None:
    """Raise `SessionNotFound` for a session that is over, unknown or somebody else's."""
    if not await end_session(session, session_id, user_id=user_id, reason="revoked"):
        raise SessionNotFound


async def delete_expired_sessions(session: AsyncSession, user_id: UUID) -> int:
    """Remove the rows of a user's sessions that are over; return how many."""
    statement = text(
        "DELETE FROM auth.sessions WHERE user_id = :user_id"
        " AND (ended_at IS NOT NULL OR expires_at < now()) RETURNING id"
    )
    return len((await session.execute(statement, {"user_id": user_id})).all())


async def get_owner(session: AsyncSession, session_id: UUID) -> UUID:
    """Whose live session it is, which lives until commit. Raises `InvalidToken`."""
    statement = select(UserSession.user_id).where(
        UserSession.id == session_id,
        UserSession.ended_at.is_(None),
        UserSession.expires_at > text("now()"),
    )
    owner: UUID | None = await session.scalar(statement.with_for_update(read=True))
    if owner is None:
        raise InvalidToken
    return owner


async def find_session_of_refresh(session: AsyncSession, refresh: str) -> tuple[UUID, UUID] | None:
    """Return (session id, user id) of a refresh token, used or not."""
    statement = (
        select(UserSession.id, UserSession.user_id)
        .join(RefreshToken, RefreshToken.session_id == UserSession.id)
        .where(RefreshToken.token_hash == sha256(refresh))
    )
    row = (await session.execute(statement)).one_or_none()
    return (row[0], row[1]) if row else None


async def _end(session: AsyncSession, which: Any, user_id: UUID, reason: str) -> list[UUID]:
    statement = (
        update(UserSession)
        .where(which, UserSession.user_id == user_id, UserSession.ended_at.is_(None))
        .values(ended_at=text("now()"), end_reason=reason)
        .returning(UserSession.id)
    )
    ended = list(await session.scalars(statement))
    for session_id in ended:
        publish(session, SessionEnded(session_id, user_id, reason))
    return ended


async def _end_stolen(identity: Identity, session_id: UUID) -> None:
    # In its own transaction: the refusal that follows rolls the request's back.
    async with identity.database.unit_of_work() as session:
        statement = (
            update(UserSession)
            .where(UserSession.id == session_id, UserSession.ended_at.is_(None))
            .values(ended_at=text("now()"), end_reason="refresh_token_reused")
            .returning(UserSession.user_id)
        )
        for user_id in await session.scalars(statement):
            publish(session, SessionEnded(session_id, user_id, "refresh_token_reused"))
        await announce_session(session, session_id)


def _is_live(found: Any, now: datetime) -> bool:
    return (
        found.ended_at is None and found.expires_at > now and UserStatus(found.status).may_sign_in
    )


def _successor(identity: Identity, refresh: str) -> str:
    key = bytes.fromhex(identity.keyring.derive(SUCCESSOR))
    digest = hmac.digest(key, refresh.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def subject_of(
    identity: Identity, user: Any, session: Any, user_id: UUID, session_id: UUID
) -> Subject:
    """What the tokens say, from the rows of a user and a session or from one that joins both."""
    return Subject(
        user_id=user_id,
        session_id=session_id,
        email=user.email,
        phone=user.phone,
        app_metadata=user.app_metadata,
        user_metadata=user.user_metadata,
        aal=session.aal,
        amr=session.amr,
        origin=session.origin if identity.settings.bind_origin else None,
    )


def shown(method: str, now: datetime) -> dict[str, Any]:
    return {"method": method, "timestamp": int(now.timestamp())}


async def mint(
    identity: Identity,
    subject: Subject,
    refresh: str,
    now: datetime,
    user: Any,
    factors: tuple[str, ...] = (),
) -> SignIn:
    """Tokens for a session; `user` is what `SignIn` holds of its account."""
    limits = identity.settings
    tokens = identity.tokens
    return SignIn(
        access_token=await tokens.mint(
            subject, TokenType.ACCESS, limits.access_token_lifetime, now
        ),
        session_token=await tokens.mint(
            subject, TokenType.SESSION, limits.session_token_lifetime, now
        ),
        refresh_token=refresh,
        session_id=subject.session_id,
        expires_in=int(limits.access_token_lifetime.total_seconds()),
        user=user,
        second_factors=factors,
    )
