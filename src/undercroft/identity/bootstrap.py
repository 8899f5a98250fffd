"""What a fresh database gets once: a signing key, the role keys, the system groups, a superuser."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Permission, Role
from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import Keyring, new_secret
from undercroft.foundation.ids import new_id
from undercroft.identity.access.catalogue import ensure_catalogue
from undercroft.identity.access.models import SUPER_ADMIN, ApiKey, Group, UserGroup
from undercroft.identity.auth.keys import create_key
from undercroft.identity.auth.models import SigningKey
from undercroft.identity.parts import Identity
from undercroft.identity.users import queries, service
from undercroft.identity.users.identifiers import parse_identifier
from undercroft.identity.users.models import UserStatus

SEAL = "api-key"
ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtext('undercroft bootstrap'))")
DEFAULT_SUPERUSER = "admin@undercroft.local"


@dataclass(frozen=True, slots=True)
class FirstSuperuser:
    """`password` is None when the operator chose it: we do not print what they know."""

    identifier: str
    password: str | None


async def bootstrap(
    identity: Identity, permissions: Iterable[Permission], *, make_superuser: bool
) -> FirstSuperuser | None:
    """Fill what is missing; return the superuser if one was made now. Safe to run at once.

    `permissions` are those that the domains declare.
    """
    async with identity.database.unit_of_work() as session:
        await session.execute(ONE_AT_A_TIME)
        await ensure_catalogue(session, permissions)
        if not await session.scalar(select(SigningKey.kid).limit(1)):
            await create_key(session, identity.keyring, identity.settings.algorithm)
    await identity.keys.load()
    async with identity.database.unit_of_work() as session:
        await session.execute(ONE_AT_A_TIME)
        for role in (Role.ANON, Role.SERVICE):
            await _ensure_role_key(session, identity, role)
        return await _ensure_superuser(session, identity) if make_superuser else None


async def role_keys(session: AsyncSession, keyring: Keyring) -> dict[str, str]:
    """Return {"anon": token, "service_role": token}."""
    statement = select(ApiKey.role, ApiKey.sealed_token).where(
        ApiKey.revoked_at.is_(None), ApiKey.name == ApiKey.role, ApiKey.sealed_token.is_not(None)
    )
    rows = await session.execute(statement.order_by(ApiKey.created_at))
    return {role: keyring.open(SEAL, sealed or b"").decode() for role, sealed in rows}


async def _ensure_role_key(session: AsyncSession, identity: Identity, role: Role) -> None:
    live = select(ApiKey.id).where(ApiKey.role == role, ApiKey.revoked_at.is_(None))
    if not await session.scalar(live):
        await mint_role_key(session, identity, role)


async def mint_role_key(session: AsyncSession, identity: Identity, role: Role) -> None:
    """Make a role key with the newest signing key; older ones live as long as theirs."""
    key_id = new_id()
    token = await identity.tokens.mint_api_key(key_id, role, utc_now())
    sealed = identity.keyring.seal(SEAL, token.encode())
    session.add(ApiKey(id=key_id, name=role.value, role=role.value, sealed_token=sealed))


async def _ensure_superuser(session: AsyncSession, identity: Identity) -> FirstSuperuser | None:
    member = select(UserGroup.user_id).join(Group).where(Group.codename == SUPER_ADMIN)
    if await session.scalar(member.limit(1)):
        return None
    settings = identity.settings
    chosen = settings.first_superuser_password
    identifier = parse_identifier(settings.first_superuser_email or DEFAULT_SUPERUSER)
    password = chosen.get_secret_value() if chosen else new_secret(15)
    identity.passwords.check_policy(password, identifier.words)
    hashed = await identity.passwords.hash(password)
    user_id = await service.insert_user(
        session, identifier, password_hash=hashed, status=UserStatus.ACTIVE
    )
    if user_id is None:
        found = await queries.find_user_by_identifier(session, identifier)
        assert found
        user_id = found.id
        # Whoever registered the address before the operator did must not become superuser.
        await service.set_password(session, user_id, hashed)
    await service.promote(session, user_id)
    return FirstSuperuser(identifier.value, None if chosen else password)
