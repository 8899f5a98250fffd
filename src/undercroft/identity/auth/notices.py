"""What owners of accounts are told without asking: somebody changed how their account opens.

Only addresses that were proved to be the owner's are written to: an account can be made with the
address of a stranger, who must not get mail whenever its maker likes.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.identity.auth.devices import Device
from undercroft.identity.parts import Identity
from undercroft.identity.users.models import User
from undercroft.notifications import Channel, Kind, queue_message


def verified_contact(user: User) -> tuple[Channel, str] | None:
    """Where the owner surely reads: their mail, else their phone."""
    if user.email and user.email_verified_at:
        return Channel.EMAIL, user.email
    if user.phone and user.phone_verified_at:
        return Channel.SMS, user.phone
    return None


async def tell_owner(
    session: AsyncSession,
    identity: Identity,
    user: User,
    kind: Kind,
    values: Mapping[str, str] | None = None,
) -> None:
    """Queue a notice to the owner's verified contact, if there is one."""
    if contact := verified_contact(user):
        await tell(session, identity, kind, contact, user.language, values)


async def tell(
    session: AsyncSession,
    identity: Identity,
    kind: Kind,
    contact: tuple[Channel, str],
    language: str,
    values: Mapping[str, str] | None = None,
) -> None:
    channel, recipient = contact
    await queue_message(
        session,
        identity.post,
        kind,
        channel=channel,
        recipient=recipient,
        language=language,
        values=values or {},
    )


async def tell_new_device(
    session: AsyncSession, identity: Identity, user: Any, device: Device, *, now: datetime
) -> None:
    """Mail the owner about a sign-in from a kind of device their account has not seen."""
    values = {
        "device": device.name or "?",
        "address": device.address or "?",
        "time": f"{now:%Y-%m-%d %H:%M} UTC",
    }
    await tell(
        session, identity, Kind.NEW_SIGN_IN, (Channel.EMAIL, user.email), user.language, values
    )
