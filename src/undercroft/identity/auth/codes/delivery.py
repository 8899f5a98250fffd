"""Who gets a secret that was asked for, decided in a job.

The request writes a row and queues this job whether or not anybody has the identifier, so neither
its answer nor its timing tells. Here an account is looked up, the secret is made and a message is
queued, all in one transaction.
"""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import new_secret
from undercroft.foundation.jobs import JobContext, job
from undercroft.foundation.languages import negotiate
from undercroft.identity.auth.codes.hashing import hash_code, hash_link, new_code
from undercroft.identity.auth.codes.models import Form, OneTimeSecret, Purpose
from undercroft.identity.parts import Identity
from undercroft.identity.users import queries
from undercroft.identity.users.identifiers import parse_identifier
from undercroft.identity.users.models import User, UserStatus
from undercroft.notifications import Channel, Kind, queue_message

# Pages of the application that mailed links open.
PAGES = {Purpose.PASSWORD_RESET: "reset-password"}
TO_THE_IDENTIFIER = {Purpose.SIGN_UP, Purpose.VERIFY_CONTACT, Purpose.CHANGE_CONTACT}


@dataclass(frozen=True, slots=True)
class Delivery:
    """`is_secret` is False for a notice that an account exists already."""

    recipient: str
    user: User | None
    is_secret: bool = True


@job("identity.deliver_secret", timeout=timedelta(seconds=30))
async def deliver_secret(context: JobContext, secret_id: UUID) -> None:
    identity: Identity = context.services["identity"]
    async with context.unit_of_work() as session:
        row = await session.get(OneTimeSecret, secret_id, with_for_update=True)
        # A filled row has been sent by an earlier run of this job.
        if row is None or row.secret_hash or row.consumed_at or row.expires_at < utc_now():
            return
        delivery = await _decide(session, row)
        if delivery is None:
            return
        if delivery.is_secret:
            await _send_secret(session, identity, row, delivery)
        else:
            row.consumed_at = utc_now()
            await _send(session, identity, row, delivery, Kind.ACCOUNT_EXISTS)


async def _decide(session: AsyncSession, row: OneTimeSecret) -> Delivery | None:
    purpose = Purpose(row.purpose)
    identifier = parse_identifier(row.identifier)
    if purpose is Purpose.CHANGE_CONTACT:
        owner = await session.get(User, row.user_id) if row.user_id else None
        wanted = owner is not None and UserStatus(owner.status).may_sign_in
        return Delivery(identifier.value, owner) if wanted else None
    user = await queries.find_user_by_identifier(session, identifier)
    if purpose is Purpose.SIGN_UP and user is None:
        return Delivery(identifier.value, None)
    if user is None or not UserStatus(user.status).may_sign_in:
        return None
    if purpose in TO_THE_IDENTIFIER:
        return Delivery(identifier.value, user, is_secret=not _is_verified(user, row.channel))
    recipient = contact(user, Channel(row.channel))
    # A contact that nobody proved to be theirs opens no account, unless it is the account's name.
    if recipient and (recipient == identifier.value or _is_verified(user, row.channel)):
        return Delivery(recipient, user)
    return None


def contact(user: User, channel: Channel) -> str | None:
    return user.email if channel is Channel.EMAIL else user.phone


def _is_verified(user: User, channel: str) -> bool:
    when = user.email_verified_at if channel == Channel.EMAIL else user.phone_verified_at
    return when is not None


async def _send_secret(
    session: AsyncSession, identity: Identity, row: OneTimeSecret, delivery: Delivery
) -> None:
    purpose = Purpose(row.purpose)
    row.recipient = delivery.recipient
    row.user_id = delivery.user.id if delivery.user else None
    minutes = round((row.expires_at - row.created_at).total_seconds() / 60)
    if row.form == Form.CODE:
        code = new_code()
        row.secret_hash = hash_code(identity.keyring, row, code)
        kind = Kind.ONE_TIME_CODE
        await _send(session, identity, row, delivery, kind, code=code, minutes=minutes)
        return
    token = new_secret()
    row.secret_hash = hash_link(identity.keyring, purpose, token)
    link = f"{identity.link_base}/{PAGES[purpose]}?{urlencode({'token': token})}"
    kind = Kind.PASSWORD_RESET
    await _send(session, identity, row, delivery, kind, link=link, minutes=minutes)


async def _send(  # noqa: PLR0917 - one call's parts
    session: AsyncSession,
    identity: Identity,
    row: OneTimeSecret,
    delivery: Delivery,
    kind: Kind,
    **values: str | int | None,
) -> None:
    preferred = delivery.user.language if delivery.user else None
    await queue_message(
        session,
        identity.post,
        kind,
        channel=Channel(row.channel),
        recipient=delivery.recipient,
        language=negotiate(row.language, preferred),
        values=values,
        expires_at=row.expires_at,
    )
