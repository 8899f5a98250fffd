"""Every SELECT about accounts."""

from uuid import UUID

from sqlalchemy import exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from undercroft.foundation.db import PageRequest, paginate
from undercroft.identity.access.models import SUPER_ADMIN, Group, UserGroup
from undercroft.identity.users.errors import UserNotFound
from undercroft.identity.users.identifiers import Identifier
from undercroft.identity.users.models import User, UserStatus


async def find_user_by_identifier(session: AsyncSession, identifier: Identifier) -> User | None:
    """With the password hash, which other queries leave where it is."""
    column = getattr(User, identifier.kind)
    statement = (
        select(User)
        .options(undefer(User.password_hash))
        .where(column == identifier.value, User.status != UserStatus.DELETED)
    )
    user: User | None = await session.scalar(statement)
    return user


async def get_user(session: AsyncSession, user_id: UUID, *, lock: bool = False) -> User:
    """Raise `UserNotFound` for an unknown or deleted account."""
    statement = select(User).where(User.id == user_id, User.status != UserStatus.DELETED)
    user: User | None = await session.scalar(statement.with_for_update() if lock else statement)
    if user is None:
        raise UserNotFound
    return user


async def get_password_hash(session: AsyncSession, user_id: UUID) -> str | None:
    hashed: str | None = await session.scalar(select(User.password_hash).where(User.id == user_id))
    return hashed


async def list_users(
    session: AsyncSession, page: PageRequest, *, search: str | None, status: UserStatus | None
) -> tuple[list[User], str | None, int | None]:
    """Newest first. `search` is the start of an identifier or a name."""
    statement = select(User).where(User.status != UserStatus.DELETED)
    if status:
        statement = statement.where(User.status == status)
    if search:
        start = search.lower()
        fields = (User.email, User.username, User.phone)
        names = (func.lower(User.first_name), func.lower(User.last_name))
        statement = statement.where(
            or_(*(field.startswith(start, autoescape=True) for field in (*fields, *names)))
        )
    return await paginate(session, statement, page, keys=(User.created_at, User.id))


async def is_superuser(session: AsyncSession, user_id: UUID) -> bool:
    membership = (
        select(UserGroup.user_id)
        .join(Group, Group.id == UserGroup.group_id)
        .where(Group.codename == SUPER_ADMIN, UserGroup.user_id == user_id)
    )
    return bool(await session.scalar(select(exists(membership))))
