"""The verbs of signing in with others: go, come back, link, unlink."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.crypto import new_secret, same_secret, sha256
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import publish
from undercroft.identity.auth import sessions
from undercroft.identity.auth.devices import Device
from undercroft.identity.auth.errors import AccountNotActive, RegistrationClosed
from undercroft.identity.auth.events import IdentityLinked, IdentityUnlinked
from undercroft.identity.auth.providers.client import Profile, Trip
from undercroft.identity.auth.providers.errors import (
    AccountExists,
    FlowInvalid,
    GrantInvalid,
    IdentityNotFound,
    IdentityTaken,
    LastWayIn,
    ProviderRefused,
    RedirectRefused,
)
from undercroft.identity.auth.providers.models import LinkedIdentity, ProviderFlow, SignInGrant
from undercroft.identity.auth.sessions import SignIn
from undercroft.identity.auth.starting import start_session
from undercroft.identity.parts import Identity
from undercroft.identity.users import queries, service
from undercroft.identity.users.contacts import mark_verified
from undercroft.identity.users.identifiers import Identifier, IdentifierInvalid, parse_email
from undercroft.identity.users.models import User, UserStatus
from undercroft.notifications import Channel

SEAL = "provider-flow"
FLOW_LIFETIME = timedelta(minutes=10)
GRANT_LIFETIME = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Begun:
    """`url` is where the browser goes, `browser` the secret that its cookie keeps."""

    url: str
    browser: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What should happen after the trip: sign in, or link for a session; then go to `redirect_to`.

    `challenge` is the application's own PKCE challenge for the exchange.
    """

    redirect_to: str | None = None
    challenge: str | None = None
    session_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Back:
    """What a browser came back with, and what we kept of its trip."""

    provider: str
    trip: Trip
    wish: Wish


async def begin(
    session: AsyncSession, identity: Identity, provider_name: str, wish: Wish, *, now: datetime
) -> Begun:
    """Raises `ProviderNotFound`, `ProviderAway`, `RedirectRefused`."""
    provider = identity.providers.get(provider_name)
    _check_redirect(identity, wish)
    trip = Trip(state=new_secret(), nonce=new_secret(), verifier=new_secret(48))
    # The provider is asked before the first statement: no connection waits for it.
    url = await identity.providers.begin(provider, trip)
    browser = new_secret()
    kept = {
        "nonce": trip.nonce,
        "verifier": trip.verifier,
        "redirect_to": wish.redirect_to,
        "challenge": wish.challenge,
        "session_id": str(wish.session_id) if wish.session_id else None,
    }
    flow = ProviderFlow(
        state_hash=sha256(trip.state),
        browser_hash=sha256(browser),
        provider=provider.name,
        sealed=identity.keyring.seal(SEAL, orjson.dumps(kept)),
        expires_at=now + FLOW_LIFETIME,
    )
    session.add(flow)
    await session.flush()
    return Begun(url, browser)


async def take_flow(
    identity: Identity,
    provider_name: str,
    *,
    state: str | None,
    browser: str | None,
    now: datetime,
) -> Back:
    """Spend the flow of this state, if it began in this browser. Raises `FlowInvalid`."""
    identity.providers.get(provider_name)
    if not state or not browser:
        raise FlowInvalid
    statement = (
        delete(ProviderFlow)
        .where(
            ProviderFlow.state_hash == sha256(state),
            ProviderFlow.browser_hash == sha256(browser),
            ProviderFlow.provider == provider_name,
            ProviderFlow.expires_at > now,
        )
        .returning(ProviderFlow.sealed)
    )
    async with identity.database.unit_of_work() as own:
        sealed: bytes | None = await own.scalar(statement)
    if sealed is None:
        raise FlowInvalid
    kept = orjson.loads(identity.keyring.open(SEAL, sealed))
    try:
        session_id = UUID(kept["session_id"]) if kept["session_id"] else None
        wish = Wish(kept["redirect_to"], kept["challenge"], session_id)
        return Back(provider_name, Trip(state, kept["nonce"], kept["verifier"]), wish)
    except KeyError as error:
        # Begun on a node of another release, which kept something else.
        raise FlowInvalid from error


async def settle(
    session: AsyncSession,
    identity: Identity,
    back: Back,
    *,
    code: str | None,
    issuer: str | None,
    now: datetime,
) -> User | None:
    """Do what the trip was for: return who signed in, None where an identity was linked.

    A refusal undoes what this call wrote and nothing else, so that the caller may still answer
    with a redirect.
    """
    profile = await ask_provider(identity, back, code, issuer)
    async with session.begin_nested():
        if back.wish.session_id:
            # Who was signed out meanwhile, or whose password was changed, links nothing any more.
            user_id = await sessions.get_owner(session, back.wish.session_id)
            await link_identity(session, user_id, back.provider, profile, now=now)
            return None
        return await find_or_make_user(session, identity, back.provider, profile, now=now)


async def ask_provider(
    identity: Identity, back: Back, code: str | None, issuer: str | None
) -> Profile:
    """Raises `ProviderRefused`, also when the person said no there."""
    if not code:
        raise ProviderRefused
    provider = identity.providers.get(back.provider)
    return await identity.providers.finish(provider, code, issuer, back.trip)


async def find_or_make_user(
    session: AsyncSession, identity: Identity, provider: str, profile: Profile, *, now: datetime
) -> User:
    """The account of an identity elsewhere; the one door through which any gets linked by address.

    An account is found by address only where both sides have verified it. Raises `AccountExists`,
    `AccountNotActive`, `RegistrationClosed`.
    """
    user = await _find_linked(session, provider, profile, now)
    if user is None:
        user = await _find_by_address(session, profile) or await _make_user(
            session, identity, provider, profile, now
        )
        await link_identity(session, user.id, provider, profile, now=now)
    if not UserStatus(user.status).may_sign_in:
        raise AccountNotActive(user.status)
    return user


async def link_identity(
    session: AsyncSession, user_id: UUID, provider: str, profile: Profile, *, now: datetime
) -> None:
    """Raise `IdentityTaken` when it opens another account."""
    values = {
        "id": new_id(),
        "user_id": user_id,
        "provider": provider,
        "subject": profile.subject,
        "email": profile.email and profile.email[:320],
        "last_used_at": now,
    }
    statement = insert(LinkedIdentity).values(values).on_conflict_do_nothing()
    if await session.scalar(statement.returning(LinkedIdentity.id)) is not None:
        publish(session, IdentityLinked(user_id, provider))
        return
    owner = select(LinkedIdentity.user_id).where(
        LinkedIdentity.provider == provider, LinkedIdentity.subject == profile.subject
    )
    if await session.scalar(owner) != user_id:
        raise IdentityTaken


def method_of(provider: str) -> str:
    """What `amr` says of a sign-in with this provider."""
    return f"oauth:{provider}"


async def grant_sign_in(session: AsyncSession, user: User, back: Back, *, now: datetime) -> str:
    """Return a code for the application's URL: good once, for a minute, with its verifier."""
    code = new_secret()
    assert back.wish.challenge
    grant = SignInGrant(
        code_hash=sha256(code),
        user_id=user.id,
        challenge=back.wish.challenge,
        method=method_of(back.provider),
        expires_at=now + GRANT_LIFETIME,
    )
    session.add(grant)
    await session.flush()
    return code


async def exchange(
    session: AsyncSession,
    identity: Identity,
    code: str,
    verifier: str,
    device: Device,
    *,
    now: datetime,
) -> SignIn:
    """Tokens for a grant. It is spent whatever the verifier is. Raises `GrantInvalid`."""
    statement = (
        delete(SignInGrant)
        .where(SignInGrant.code_hash == sha256(code), SignInGrant.expires_at > now)
        .returning(SignInGrant.user_id, SignInGrant.challenge, SignInGrant.method)
    )
    async with identity.database.unit_of_work() as own:
        grant = (await own.execute(statement)).one_or_none()
    if grant is None or not same_secret(challenge_of(verifier), grant.challenge):
        raise GrantInvalid
    user = await session.get_one(User, grant.user_id)
    if not UserStatus(user.status).may_sign_in:
        raise AccountNotActive(user.status)
    return await start_session(session, identity, user, device, method=grant.method, now=now)


def challenge_of(verifier: str) -> str:
    """PKCE's S256 (RFC 7636)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


async def list_identities(session: AsyncSession, user_id: UUID) -> list[LinkedIdentity]:
    statement = select(LinkedIdentity).where(LinkedIdentity.user_id == user_id)
    return list(await session.scalars(statement.order_by(LinkedIdentity.created_at)))


async def unlink_identity(session: AsyncSession, user_id: UUID, identity_id: UUID) -> None:
    """Raises `IdentityNotFound`, and `LastWayIn` where nothing else signs in."""
    user = await queries.get_user(session, user_id, lock=True)
    statement = (
        delete(LinkedIdentity)
        .where(LinkedIdentity.id == identity_id, LinkedIdentity.user_id == user_id)
        .returning(LinkedIdentity.id)
    )
    if await session.scalar(statement) is None:
        raise IdentityNotFound
    other_ways = (
        await queries.get_password_hash(session, user_id),
        user.email_verified_at,
        user.phone_verified_at,
        await list_identities(session, user_id),
        await session.scalar(
            text("SELECT id FROM auth.factors WHERE user_id = :id AND type = 'passkey' LIMIT 1"),
            {"id": user_id},
        ),
    )
    if not any(other_ways):
        raise LastWayIn
    publish(session, IdentityUnlinked(identity_id, user_id))


async def _find_linked(
    session: AsyncSession, provider: str, profile: Profile, now: datetime
) -> User | None:
    statement = (
        update(LinkedIdentity)
        .where(LinkedIdentity.provider == provider, LinkedIdentity.subject == profile.subject)
        .values(last_used_at=now)
        .returning(LinkedIdentity.user_id)
    )
    user_id: UUID | None = await session.scalar(statement)
    return await session.get(User, user_id) if user_id else None


async def _find_by_address(session: AsyncSession, profile: Profile) -> User | None:
    address = _proven_address(profile)
    if address is None:
        return None
    user = await queries.find_user_by_identifier(session, address)
    if user is not None and user.email_verified_at is None:
        raise AccountExists
    return user


async def _make_user(
    session: AsyncSession, identity: Identity, provider: str, profile: Profile, now: datetime
) -> User:
    """An address that the provider did not verify does not become the account's."""
    if not identity.settings.open_registration:
        raise RegistrationClosed
    address = _proven_address(profile)
    name = address or Identifier("username", f"{provider}-{secrets.token_hex(8)}")
    user_id = await service.insert_user(session, name, password_hash=None, status=UserStatus.ACTIVE)
    if user_id is None:  # another request made it at the same moment
        raise AccountExists
    if address:
        await mark_verified(session, user_id, Channel.EMAIL, address.value, now=now)
    return await queries.get_user(session, user_id)


def _proven_address(profile: Profile) -> Identifier | None:
    if not profile.email or not profile.email_verified:
        return None
    try:
        return Identifier("email", parse_email(profile.email))
    except IdentifierInvalid:
        return None


def _check_redirect(identity: Identity, wish: Wish) -> None:
    """Only to addresses the operator named, so that a grant goes to nobody else."""
    if wish.redirect_to is None:
        return
    allowed = wish.redirect_to in identity.settings.redirect_urls or _same_origin(
        wish.redirect_to, identity.link_base
    )
    if not allowed or (wish.session_id is None and not wish.challenge):
        raise RedirectRefused


def _same_origin(url: str, base: str) -> bool:
    if "\\" in url or not url.isprintable():
        return False
    left, right = urlsplit(url), urlsplit(base)
    return (left.scheme, left.netloc) == (right.scheme, right.netloc)
