"""Ways in by a one-time code: sign in, sign up, confirm a contact; and what is still free."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.identity.auth.codes.delivery import contact
from undercroft.identity.auth.codes.errors import CodeInvalid
from undercroft.identity.auth.codes.service import Ask, Proof, check_channel, prove_code, use_up
from undercroft.identity.auth.devices import Device
from undercroft.identity.auth.errors import AccountNotActive, RegistrationClosed
from undercroft.identity.auth.sessions import SignIn
from undercroft.identity.auth.starting import start_session
from undercroft.identity.parts import Identity
from undercroft.identity.users import queries, service
from undercroft.identity.users.contacts import evict_squatter, mark_verified
from undercroft.identity.users.errors import IdentifierTaken
from undercroft.identity.users.identifiers import Identifier
from undercroft.identity.users.models import User, UserStatus

METHOD = "otp"


async def sign_in_with_code(
    session: AsyncSession, identity: Identity, ask: Ask, code: str, device: Device, *, now: datetime
) -> SignIn:
    """Start a session; the contact the code really went to counts as verified.

    Raises `CodeInvalid`, and `AccountNotActive` only to who holds a right code.
    """
    proof = await prove_code(identity, ask, code, now=now)
    await use_up(session, proof, now=now)
    user = await get_proven_user(session, proof)
    await evict_squatter(session, user)
    await mark_verified(session, user.id, proof.channel, proof.recipient, now=now)
    return await start_session(session, identity, user, device, method=METHOD, now=now)


async def sign_up_with_code(
    session: AsyncSession, identity: Identity, ask: Ask, code: str, device: Device, *, now: datetime
) -> SignIn:
    """Make an account without a password and sign in.

    An account that was registered but never confirmed goes to who proves the address now. Raises
    `IdentifierTaken` to who holds a right code for a confirmed one.
    """
    if not identity.settings.open_registration:
        raise RegistrationClosed
    check_channel(ask)
    proof = await prove_code(identity, ask, code, now=now)
    await use_up(session, proof, now=now)
    user = await _make_or_claim(session, ask.identifier)
    await mark_verified(session, user.id, proof.channel, proof.recipient, now=now)
    return await start_session(session, identity, user, device, method=METHOD, now=now)


async def confirm_contact(
    session: AsyncSession, identity: Identity, actor: Actor, ask: Ask, code: str, *, now: datetime
) -> None:
    """Mark a contact of the caller's own account verified. Raises `CodeInvalid`."""
    check_channel(ask)
    proof = await prove_code(identity, ask, code, now=now)
    if proof.user_id is None or proof.user_id != actor.user_id:
        raise CodeInvalid
    await use_up(session, proof, now=now)
    if not await mark_verified(session, proof.user_id, proof.channel, proof.recipient, now=now):
        raise CodeInvalid


async def is_available(session: AsyncSession, identity: Identity, identifier: Identifier) -> bool:
    """Whether a registration with it would make an account.

    An address of a deleted account is taken until the account is erased.
    """
    taken = await queries.is_identifier_taken(session, identifier)
    hidden = identifier.kind != "username" and not identity.settings.reveal_availability
    return hidden or not taken


async def get_proven_user(session: AsyncSession, proof: Proof) -> User:
    """The account of a proof, locked, if the address still is its own. Raises `CodeInvalid`."""
    if proof.user_id is None:
        raise CodeInvalid
    user = await queries.get_user(session, proof.user_id, lock=True)
    if contact(user, proof.channel) != proof.recipient:
        raise CodeInvalid
    if not UserStatus(user.status).may_sign_in:
        raise AccountNotActive(user.status)
    return user


async def _make_or_claim(session: AsyncSession, identifier: Identifier) -> User:
    user_id = await service.insert_user(session, identifier, password_hash=None)
    if user_id is not None:
        return await queries.get_user(session, user_id)
    found = await queries.find_user_by_identifier(session, identifier)
    if found is None or found.status != UserStatus.UNVERIFIED:
        raise IdentifierTaken
    user = await queries.get_user(session, found.id, lock=True)
    await evict_squatter(session, user)
    return user
