"""Every SELECT about accounts."""

from datetime import UTC, datetime
from functools import cache
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, exists, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from undercroft.foundation.db import PageRequest, Sorts, paginate
from undercroft.identity.access.models import SUPER_ADMIN, Group, UserGroup
from undercroft.identity.users.errors import UserNotFound
from undercroft.identity.users.identifiers import Identifier
from undercroft.identity.users.models import User, UserStatus

FOR_THIS_TEXT = text("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
SORTS: Sorts = {
    "created_at": User.created_at,
    "updated_at": User.updated_at,
    "email": func.coalesce(User.email, ""),
    "username": func.coalesce(User.username, ""),
    "last_sign_in_at": func.coalesce(User.last_sign_in_at, NEVER),
}


def _starts_with(start: str) -> list[ColumnElement[bool]]:
    fields = (User.email, User.username, User.phone)
    names = (func.lower(User.first_name), func.lower(User.last_name))
    return [field.startswith(start, autoescape=True) for field in (*fields, *names)]


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


async def is_identifier_taken(session: AsyncSession, identifier: Identifier) -> bool:
    """By an account in whatever state; a deleted one keeps its names until it is erased."""
    holder = select(User.id).where(getattr(User, identifier.kind) == identifier.value)
    return bool(await session.scalar(select(exists(holder))))


async def get_user(
    session: AsyncSession, user_id: UUID, *, lock: bool = False, deleted: bool = False
) -> User:
    """Raise `UserNotFound` for an unknown or deleted account.

    With `deleted` one that waits for its erasure is found too.
    """
    user: User | None = await session.scalar(_one_user(lock, deleted), {"user_id": user_id})
    if user is None:
        raise UserNotFound
    return user


@cache
def _one_user(lock: bool, deleted: bool) -> Select[User]:  # noqa: FBT001
    """Put together once: that costs as much as running it, and most requests do."""
    there = User.erased_at.is_(None) if deleted else User.status != UserStatus.DELETED
    statement = select(User).where(User.id == bindparam("user_id"), there)
    return statement.with_for_update() if lock else statement


async def get_password_hash(session: AsyncSession, user_id: UUID) -> str | None:
    hashed: str | None = await session.scalar(select(User.password_hash).where(User.id == user_id))
    return hashed


async def list_users(
    session: AsyncSession, page: PageRequest, *, search: str | None, status: UserStatus | None
) -> tuple[list[User], str | None, int | None]:
    """Newest first; deleted ones, until their erasure, when asked for by that status.

    `search` is the start of an identifier or a name.
    """
    statement = select(User).where(User.status != UserStatus.DELETED)
    if status:
        statement = select(User).where(User.status == status, User.erased_at.is_(None))
    if search:
        # A plan made for any text would read every account where few match.
        await session.execute(FOR_THIS_TEXT)
        statement = statement.where(or_(*_starts_with(search.lower())))
    keys = (User.created_at, User.id)
    return await paginate(session, statement, page, keys=keys, sorts=SORTS)


async def is_superuser(session: AsyncSession, user_id: UUID) -> bool:
    membership = (
        select(UserGroup.user_id)
        .join(Group, Group.id == UserGroup.group_id)
        .where(Group.codename == SUPER_ADMIN, UserGroup.user_id == user_id)
    )
    return bool(await session.scalar(select(exists(membership))))
