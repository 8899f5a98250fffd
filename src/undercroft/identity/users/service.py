"""The verbs on accounts: make, change, change state, delete."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.clock import utc_now
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import publish
from undercroft.foundation.problems import Problem
from undercroft.identity.access.events import UserGroupsChanged
from undercroft.identity.access.models import EVERYBODY, SUPER_ADMIN, Group, UserGroup
from undercroft.identity.access.queries import (
    has_other_superuser,
    lock_superusers,
    permissions_of_user,
)
from undercroft.identity.auth.events import PasswordChanged
from undercroft.identity.auth.gate import announce_user
from undercroft.identity.auth.sessions import end_all_sessions
from undercroft.identity.organizations.queries import solely_owned
from undercroft.identity.users import queries
from undercroft.identity.users.errors import (
    AboveYou,
    IdentifierTaken,
    LastSuperuser,
    NotYourself,
    StillOwner,
    UserNotFound,
)
from undercroft.identity.users.events import UserCreated, UserStatusChanged, UserUpdated
from undercroft.identity.users.identifiers import Identifier
from undercroft.identity.users.models import User, UserStatus


async def insert_user(
    session: AsyncSession,
    identifier: Identifier,
    *,
    password_hash: str | None,
    status: UserStatus = UserStatus.UNVERIFIED,
    language: str = "en",
    by: UUID | None = None,
) -> UUID | None:
    """Make an account in the group of everybody.

    None when the identifier is taken, also by a racing insert.
    """
    values = {
        "id": new_id(),
        identifier.kind: identifier.value,
        "password_hash": password_hash,
        "status": status,
        "language": language,
        "auth_type": identifier.kind,
        "invited_by": by,
    }
    made = insert(User).values(values).on_conflict_do_nothing().returning(User.id).cte("made")
    joined = select(made.c.id, Group.id).join_from(made, Group, Group.codename == EVERYBODY)
    join = insert(UserGroup).from_select(["user_id", "group_id"], joined).cte("joined")
    user_id: UUID | None = await session.scalar(select(made.c.id).add_cte(join))
    if user_id is not None:
        publish(session, UserCreated(user_id, identifier.kind))
    return user_id


async def create_user(
    session: AsyncSession,
    identifier: Identifier,
    *,
    password_hash: str | None,
    status: UserStatus = UserStatus.ACTIVE,
    by: UUID | None = None,
) -> User:
    """As an administrator: raises `IdentifierTaken`."""
    user_id = await insert_user(
        session, identifier, password_hash=password_hash, status=status, by=by
    )
    if user_id is None:
        raise IdentifierTaken
    return await queries.get_user(session, user_id)


async def set_status(
    session: AsyncSession, user_id: UUID, status: UserStatus, *, actor: Actor
) -> User:
    """Suspend, deactivate, delete or bring back. All but the last end every session at once."""
    if not status.may_sign_in:
        await lock_superusers(session)
    back = status.may_sign_in
    user = await queries.get_user(session, user_id, lock=True, deleted=back)
    await check_may_change(session, user, actor)
    if not status.may_sign_in:
        if user_id == actor.user_id:
            raise NotYourself
        await _keep_a_superuser(session, user_id)
        await end_all_sessions(session, user_id, reason=status.value)
    user.status = status
    user.deleted_at = utc_now() if status is UserStatus.DELETED else None
    try:
        await session.flush()
    except IntegrityError as error:  # it lost its only address to who proved it
        raise UserNotFound from error
    await session.refresh(user)
    await announce_user(session, user_id)
    publish(session, UserStatusChanged(user_id, status.value, by=actor.user_id))
    return user


async def set_password(
    session: AsyncSession, user_id: UUID, password_hash: str, *, but: UUID | None = None
) -> None:
    """Store a new hash and end every session except `but`."""
    statement = update(User).where(User.id == user_id).values(password_hash=password_hash)
    await session.execute(statement)
    await end_all_sessions(session, user_id, reason="password_changed", but=but)
    publish(session, PasswordChanged(user_id))


async def set_first_password(session: AsyncSession, user_id: UUID, password_hash: str) -> bool:
    """Store a hash where there is none; False when there is one, also by a racing call."""
    statement = (
        update(User)
        .where(User.id == user_id, User.password_hash.is_(None))
        .values(password_hash=password_hash)
        .returning(User.id)
    )
    done = await session.scalar(statement) is not None
    if done:
        publish(session, PasswordChanged(user_id))
    return done


async def update_user(
    session: AsyncSession, user_id: UUID, changes: Mapping[str, Any], *, actor: Actor
) -> User:
    """Change what describes an account. The schemas decide which fields these may be."""
    user = await queries.get_user(session, user_id, lock=True)
    if user_id != actor.user_id:
        await check_may_change(session, user, actor)
    for name, value in changes.items():
        setattr(user, name, value)
    await session.flush()
    await session.refresh(user)
    await announce_user(session, user_id)
    publish(session, UserUpdated(user_id, tuple(sorted(changes)), by=actor.user_id))
    return user


async def rename_user(session: AsyncSession, user_id: UUID, username: str, *, actor: Actor) -> User:
    """Raises `IdentifierTaken`, also when a racing request took the name."""
    try:
        return await update_user(session, user_id, {"username": username}, actor=actor)
    except IntegrityError as error:
        raise IdentifierTaken from error


async def change_many(
    session: AsyncSession, user_ids: Iterable[UUID], status: UserStatus, *, actor: Actor
) -> dict[UUID, Problem | None]:
    """Set the status of each account; the refusals of some do not undo the others.

    In the order of ids behind the superusers' lock, so that two at once cannot wait for each other.
    """
    await lock_superusers(session)
    outcomes: dict[UUID, Problem | None] = {}
    for user_id in sorted(set(user_ids)):
        try:
            if user_id == actor.user_id:
                raise NotYourself
            async with session.begin_nested():
                await set_status(session, user_id, status, actor=actor)
            outcomes[user_id] = None
        except Problem as problem:
            outcomes[user_id] = problem
    return outcomes


async def end_own_account(session: AsyncSession, user_id: UUID, status: UserStatus) -> None:
    """Deactivate or delete one's own account. Raises `StillOwner`, `LastSuperuser`."""
    await lock_superusers(session)
    user = await queries.get_user(session, user_id, lock=True)
    await _keep_a_superuser(session, user_id)
    if status is UserStatus.DELETED and (left := await solely_owned(session, user_id)):
        raise StillOwner(left)
    await end_all_sessions(session, user_id, reason=status.value)
    user.status = status
    user.deleted_at = utc_now() if status is UserStatus.DELETED else None
    await session.flush()
    publish(session, UserStatusChanged(user_id, status.value, by=user_id))


async def promote(session: AsyncSession, user_id: UUID, *, by: UUID | None = None) -> None:
    """Put an account into `super_admin`."""
    group_id = await session.scalar(select(Group.id).where(Group.codename == SUPER_ADMIN))
    statement = insert(UserGroup).values(user_id=user_id, group_id=group_id, assigned_by=by)
    await session.execute(statement.on_conflict_do_nothing())
    await announce_user(session, user_id)
    publish(session, UserGroupsChanged(user_id, (SUPER_ADMIN,), (), by=by))


async def check_may_change(session: AsyncSession, user: User, actor: Actor) -> None:
    """Raise `AboveYou` for a superuser's account, unless the caller is one too."""
    if not actor.is_superuser and await queries.is_superuser(session, user.id):
        raise AboveYou


async def check_not_above(session: AsyncSession, user: User, actor: Actor) -> None:
    """Raise `AboveYou` for an account that may do what the caller may not.

    Asked before a password is set: who knows it has all that the account holds.
    """
    await check_may_change(session, user, actor)
    held = await permissions_of_user(session, user.id)
    if any(not actor.has(permission) for permission in held):
        raise AboveYou


async def _keep_a_superuser(session: AsyncSession, user_id: UUID) -> None:
    is_one = await queries.is_superuser(session, user_id)
    if is_one and not await has_other_superuser(session, user_id):
        raise LastSuperuser
