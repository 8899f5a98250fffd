"""New signing keys, without anybody noticing: `undercroft keys rotate`."""

from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Role
from undercroft.identity.access.models import ApiKey
from undercroft.identity.auth.keys import create_key
from undercroft.identity.auth.models import SigningKey
from undercroft.identity.bootstrap import ONE_AT_A_TIME, mint_role_key
from undercroft.identity.parts import Identity


async def rotate_keys(identity: Identity, *, now: datetime) -> None:
    """Sign with a new key from now on, and make new role keys with it.

    What older keys signed stays good for the longest lifetime of a user's token; then they retire
    by themselves, and the old role keys with them.
    """
    settings = identity.settings
    longest = max(settings.access_token_lifetime, settings.session_token_lifetime)
    async with identity.database.unit_of_work() as session:
        await session.execute(ONE_AT_A_TIME)
        await _retire_others(session, at=now + longest + settings.clock_leeway)
        await create_key(session, identity.keyring, settings.algorithm)
    await identity.keys.load()
    async with identity.database.unit_of_work() as session:
        await session.execute(ONE_AT_A_TIME)
        for role in await _live_roles(session):
            await mint_role_key(session, identity, role)


async def _retire_others(session: AsyncSession, *, at: datetime) -> None:
    """Earlier retirements stand: a second rotation gives no key more time."""
    later = or_(SigningKey.retired_at.is_(None), SigningKey.retired_at > at)
    await session.execute(update(SigningKey).where(later).values(retired_at=at))


async def _live_roles(session: AsyncSession) -> list[Role]:
    statement = select(ApiKey.role).where(ApiKey.revoked_at.is_(None), ApiKey.name == ApiKey.role)
    return [Role(role) for role in await session.scalars(statement.distinct())]
