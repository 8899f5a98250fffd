"""The verbs on accounts: make, change state, delete."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.ids import new_id
from undercroft.identity.access.models import SUPER_ADMIN, Group, UserGroup
from undercroft.identity.auth.gate import announce_user
from undercroft.identity.auth.sessions import end_all_sessions
from undercroft.identity.users import queries
from undercroft.identity.users.errors import AboveYou, IdentifierTaken, LastSuperuser, NotYourself
from undercroft.identity.users.identifiers import Identifier
from undercroft.identity.users.models import User, UserStatus


async def insert_user(
    session: AsyncSession,
    identifier: Identifier,
    *,
    password_hash: str | None,
    status: UserStatus = UserStatus.UNVERIFIED,
    language: str = "en",
) -> UUID | None:
    """Make an account; None when the identifier is taken, also by a racing insert."""
    values = {
        "id": new_id(),
        identifier.kind: identifier.value,
        "password_hash": password_hash,
        "status": status,
        "language": language,
    }
    statement = insert(User).values(values).on_conflict_do_nothing().returning(User.id)
    user_id: UUID | None = await session.scalar(statement)
    return user_id


async def create_user(
    session: AsyncSession,
    identifier: Identifier,
    *,
    password_hash: str | None,
    status: UserStatus = UserStatus.ACTIVE,
) -> User:
    """As an administrator: raises `IdentifierTaken`."""
    user_id = await insert_user(session, identifier, password_hash=password_hash, status=status)
    if user_id is None:
        raise IdentifierTaken
    return await queries.get_user(session, user_id)


async def set_status(
    session: AsyncSession, user_id: UUID, status: UserStatus, *, actor: Actor
) -> User:
    """Suspend, deactivate, delete or bring back. All but the last end every session at once."""
    user = await queries.get_user(session, user_id, lock=True)
    await _check_may_change(session, user, actor)
    if not status.may_sign_in:
        if user_id == actor.user_id:
            raise NotYourself
        await _keep_a_superuser(session, user_id)
        await end_all_sessions(session, user_id, reason=status.value)
    user.status = status
    await session.flush()
    await announce_user(session, user_id)
    return user


async def set_password(
    session: AsyncSession, user_id: UUID, password_hash: str, *, but: UUID | None = None
) -> None:
    """Store a new hash and end every session except `but`."""
    statement = update(User).where(User.id == user_id).values(password_hash=password_hash)
    await session.execute(statement)
    await end_all_sessions(session, user_id, reason="password_changed", but=but)


async def set_first_password(session: AsyncSession, user_id: UUID, password_hash: str) -> bool:
    """Store a hash where there is none; False when there is one, also by a racing call."""
    statement = (
        update(User)
        .where(User.id == user_id, User.password_hash.is_(None))
        .values(password_hash=password_hash)
        .returning(User.id)
    )
    return await session.scalar(statement) is not None


async def promote(session: AsyncSession, user_id: UUID, *, by: UUID | None = None) -> None:
    """Put an account into `super_admin`."""
    group_id = await session.scalar(select(Group.id).where(Group.codename == SUPER_ADMIN))
    statement = insert(UserGroup).values(user_id=user_id, group_id=group_id, assigned_by=by)
    await session.execute(statement.on_conflict_do_nothing())
    await announce_user(session, user_id)


async def _check_may_change(session: AsyncSession, user: User, actor: Actor) -> None:
    if not actor.is_superuser and await queries.is_superuser(session, user.id):
        raise AboveYou


async def _keep_a_superuser(session: AsyncSession, user_id: UUID) -> None:
    if await queries.is_superuser(session, user_id) and not await queries.has_other_superuser(
        session, user_id
    ):
        raise LastSuperuser
