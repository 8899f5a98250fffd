"""The verbs on one-time secrets: ask for one, prove it, use it up."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.crypto import same_secret
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import enqueue, publish
from undercroft.identity.auth.codes.delivery import TO_THE_IDENTIFIER, deliver_secret
from undercroft.identity.auth.codes.errors import (
    ChannelMismatch,
    CodeInvalid,
    LinkInvalid,
    TooManyCodes,
)
from undercroft.identity.auth.codes.hashing import hash_code, hash_link
from undercroft.identity.auth.codes.models import Form, OneTimeSecret, Purpose
from undercroft.identity.auth.events import SignInFailed
from undercroft.identity.parts import Identity
from undercroft.identity.users.identifiers import Identifier
from undercroft.notifications import Channel

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Proof:
    """Somebody reads `recipient`: the exact address the secret went to."""

    id: UUID
    purpose: Purpose
    channel: Channel
    recipient: str
    user_id: UUID | None


@dataclass(frozen=True, slots=True)
class Ask:
    """What a secret is asked for. `accept_language` is the request's header."""

    purpose: Purpose
    identifier: Identifier
    channel: Channel
    accept_language: str | None = None
    form: Form = Form.CODE
    user_id: UUID | None = None


async def request_secret(
    session: AsyncSession, identity: Identity, ask: Ask, *, now: datetime
) -> None:
    """Have a code or link sent, if there is anybody to send it to.

    Raises `ChannelMismatch`, and `TooManyCodes` alike for known and unknown identifiers.
    """
    check_channel(ask)
    await _check_hourly_limit(session, identity, ask, now)
    settings = identity.settings
    is_code = ask.form is Form.CODE
    lifetime = settings.code_lifetime if is_code else settings.reset_link_lifetime
    row = OneTimeSecret(
        id=new_id(),
        purpose=ask.purpose.value,
        identifier=ask.identifier.value,
        channel=ask.channel.value,
        form=ask.form.value,
        language=(ask.accept_language or "")[:64] or None,
        user_id=ask.user_id,
        created_at=now,
        expires_at=now + lifetime,
    )
    session.add(row)
    await session.flush()
    await enqueue(session, deliver_secret, secret_id=row.id)


def check_channel(ask: Ask) -> None:
    """Raise `ChannelMismatch` where the identifier itself must receive the secret and cannot."""
    by_mail = ask.channel is Channel.EMAIL
    fits = ask.identifier.kind == ("email" if by_mail else "phone")
    if ask.purpose in TO_THE_IDENTIFIER and not fits:
        raise ChannelMismatch


async def prove_code(
    identity: Identity, ask: Ask, code: str, *, now: datetime, keep_tries: bool = False
) -> Proof:
    """Check a code. Raises `CodeInvalid`.

    The try is counted in a transaction of its own before the code is looked at, so that neither
    the refusal nor a crowd of guesses at once can win more tries. `keep_tries` gives it back when
    the code is right, for a look that uses nothing up.
    """
    async with identity.database.unit_of_work() as own:
        row = await _claim_try(own, identity, ask, now)
    if row is None or not _fits(identity, row, code) or row.recipient is None:
        async with identity.database.unit_of_work() as own:
            publish(own, SignInFailed(row.user_id if row else None, f"otp:{ask.purpose.value}"))
        raise CodeInvalid
    if keep_tries:
        async with identity.database.unit_of_work() as own:
            statement = update(OneTimeSecret).where(OneTimeSecret.id == row.id)
            await own.execute(statement.values(attempts=OneTimeSecret.attempts - 1))
    return _proof(row)


async def find_link(
    session: AsyncSession, identity: Identity, purpose: Purpose, token: str, *, now: datetime
) -> Proof:
    """Check the token of a link without using it up. Raises `LinkInvalid`."""
    statement = select(OneTimeSecret).where(
        OneTimeSecret.secret_hash == hash_link(identity.keyring, purpose, token),
        OneTimeSecret.form == Form.LINK,
        OneTimeSecret.purpose == purpose.value,
        OneTimeSecret.consumed_at.is_(None),
        OneTimeSecret.expires_at > now,
    )
    row: OneTimeSecret | None = await session.scalar(statement)
    if row is None or row.recipient is None:
        raise LinkInvalid
    return _proof(row)


async def use_up(session: AsyncSession, proof: Proof, *, now: datetime) -> None:
    """Spend the secret in this transaction, so that of many at once one wins.

    The others wait for its commit and then raise `CodeInvalid`.
    """
    statement = (
        update(OneTimeSecret)
        .where(OneTimeSecret.id == proof.id, OneTimeSecret.consumed_at.is_(None))
        .values(consumed_at=now)
        .returning(OneTimeSecret.id)
    )
    if await session.scalar(statement) is None:
        raise CodeInvalid


async def revoke_secrets(session: AsyncSession, user_id: UUID, *, now: datetime) -> None:
    """Make every secret that was sent for this account useless, after its password changed."""
    statement = (
        update(OneTimeSecret)
        .where(OneTimeSecret.user_id == user_id, OneTimeSecret.consumed_at.is_(None))
        .values(consumed_at=now)
    )
    await session.execute(statement)


async def _claim_try(
    session: AsyncSession, identity: Identity, ask: Ask, now: datetime
) -> OneTimeSecret | None:
    """Count a try against the newest code; None when there is none left to try.

    A row that nobody got is counted too: the work is the same for unknown identifiers.
    """
    owner = OneTimeSecret.user_id == ask.user_id if ask.user_id else text("true")
    newest = (
        select(OneTimeSecret.id)
        .where(
            OneTimeSecret.identifier == ask.identifier.value,
            OneTimeSecret.purpose == ask.purpose.value,
            OneTimeSecret.channel == ask.channel.value,
            OneTimeSecret.form == Form.CODE,
            owner,
        )
        .order_by(OneTimeSecret.created_at.desc(), OneTimeSecret.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        update(OneTimeSecret)
        .where(OneTimeSecret.id == newest, OneTimeSecret.consumed_at.is_(None))
        .where(OneTimeSecret.expires_at > now)
        .where(OneTimeSecret.attempts < identity.settings.code_tries)
        .values(attempts=OneTimeSecret.attempts + 1)
        .returning(OneTimeSecret)
    )
    row: OneTimeSecret | None = await session.scalar(statement)
    return row


async def _check_hourly_limit(
    session: AsyncSession, identity: Identity, ask: Ask, now: datetime
) -> None:
    """Bounds both the messages a person can be sent and the codes that can be guessed at."""
    key = f"codes {ask.identifier.value}"
    await session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key}
    )
    mine: Any = (
        OneTimeSecret.identifier == ask.identifier.value,
        OneTimeSecret.purpose == ask.purpose.value,
        OneTimeSecret.created_at > now - HOUR,
    )
    statement = select(func.count(), func.min(OneTimeSecret.created_at)).where(*mine)
    count, oldest = (await session.execute(statement)).one()
    limit = identity.settings.codes_per_hour
    if count >= limit:
        raise TooManyCodes(max(1, int((oldest + HOUR - now).total_seconds())), limit=limit)


def _fits(identity: Identity, row: OneTimeSecret, code: str) -> bool:
    expected = row.secret_hash or bytes(32)
    return same_secret(hash_code(identity.keyring, row, code), expected)


def _proof(row: OneTimeSecret) -> Proof:
    return Proof(
        id=row.id,
        purpose=Purpose(row.purpose),
        channel=Channel(row.channel),
        recipient=row.recipient or "",
        user_id=row.user_id,
    )
