"""The verbs on permissions and groups. Nobody gives or takes what they do not hold."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.jobs import publish
from undercroft.identity.access import queries
from undercroft.identity.access.errors import (
    CannotGrant,
    GroupTaken,
    PermissionTaken,
    SuperAdminFixed,
    SystemGroup,
    SystemPermission,
)
from undercroft.identity.access.events import (
    GroupChanged,
    GroupPermissionsChanged,
    PermissionChanged,
    UserGroupsChanged,
)
from undercroft.identity.access.models import (
    SUPER_ADMIN,
    Group,
    GroupPermission,
    PermissionRecord,
    UserGroup,
)
from undercroft.identity.auth.gate import announce_everyone, announce_user
from undercroft.identity.users.errors import AboveYou, LastSuperuser
from undercroft.identity.users.queries import get_user


async def create_permission(
    session: AsyncSession, values: Mapping[str, Any], *, actor: Actor
) -> PermissionRecord:
    """Add a custom permission, for apps and policies to ask about."""
    permission = PermissionRecord(**values)
    session.add(permission)
    await _flush_or(session, PermissionTaken(permission.codename))
    await session.refresh(permission)
    publish(session, PermissionChanged(permission.codename, "created", by=actor.user_id))
    return permission


async def update_permission(
    session: AsyncSession, permission: PermissionRecord, changes: Mapping[str, Any], *, actor: Actor
) -> PermissionRecord:
    """Change a custom permission; under a new codename it stays where it was given."""
    if permission.is_system:
        raise SystemPermission(permission.codename)
    # Renaming gives the holders something else: it takes who could give and take both.
    if changes.get("codename", permission.codename) != permission.codename:
        _check_may_grant(actor, {permission.codename})
    _assign(permission, changes)
    await _flush_or(session, PermissionTaken(permission.codename))
    await session.refresh(permission)
    await announce_everyone(session)
    publish(session, PermissionChanged(permission.codename, "updated", by=actor.user_id))
    return permission


async def delete_permission(
    session: AsyncSession, permission: PermissionRecord, *, actor: Actor
) -> None:
    """Remove a custom permission from the catalogue, from every group and every API key."""
    if permission.is_system:
        raise SystemPermission(permission.codename)
    await session.delete(permission)
    await session.flush()
    await announce_everyone(session)
    publish(session, PermissionChanged(permission.codename, "deleted", by=actor.user_id))


async def create_group(session: AsyncSession, values: Mapping[str, Any], *, actor: Actor) -> Group:
    group = Group(**values, is_system=False)
    session.add(group)
    await _flush_or(session, GroupTaken())
    await session.refresh(group)
    publish(session, GroupChanged(group.id, group.codename, "created", by=actor.user_id))
    return group


async def update_group(
    session: AsyncSession, group: Group, changes: Mapping[str, Any], *, actor: Actor
) -> Group:
    """Rename or switch on and off. Switching gives or takes all the group holds."""
    if group.is_system and changes.get("codename", group.codename) != group.codename:
        raise SystemGroup(group.codename)
    if changes.get("is_active", group.is_active) != group.is_active:
        await _check_may_switch(session, group, actor)
    _assign(group, changes)
    await _flush_or(session, GroupTaken())
    await session.refresh(group)
    await announce_everyone(session)
    publish(session, GroupChanged(group.id, group.codename, "updated", by=actor.user_id))
    return group


async def delete_group(session: AsyncSession, group: Group, *, actor: Actor) -> None:
    """Delete a group; its members lose what it gave."""
    if group.is_system:
        raise SystemGroup(group.codename)
    await _check_may_switch(session, group, actor)
    await session.delete(group)
    await session.flush()
    await announce_everyone(session)
    publish(session, GroupChanged(group.id, group.codename, "deleted", by=actor.user_id))


async def replace_group_permissions(
    session: AsyncSession, group: Group, wanted: Collection[str], *, actor: Actor
) -> None:
    """Make `wanted` the whole set of the (locked) group's permissions."""
    if group.codename == SUPER_ADMIN:
        raise SuperAdminFixed
    current = set((await queries.permissions_by_group(session, [group.id])).get(group.id, ()))
    added, removed = set(wanted) - current, current - set(wanted)
    _check_may_grant(actor, added | removed)
    if removed:
        await session.execute(
            delete(GroupPermission).where(
                GroupPermission.group_id == group.id, GroupPermission.permission.in_(removed)
            )
        )
    if added:
        rows = [{"group_id": group.id, "permission": name} for name in sorted(added)]
        await session.execute(insert(GroupPermission).values(rows))
    await announce_everyone(session)
    change = GroupPermissionsChanged(
        group.id, group.codename, _ordered(added), _ordered(removed), by=actor.user_id
    )
    publish(session, change)


async def replace_user_groups(
    session: AsyncSession, user_id: UUID, codenames: Collection[str], *, actor: Actor
) -> list[Group]:
    """Make `codenames` the whole set of a user's groups; return them."""
    await queries.lock_superusers(session)
    await get_user(session, user_id, lock=True)
    current = {group.codename: group for group in await queries.groups_of_user(session, user_id)}
    wanted = {
        group.codename: group
        for group in await queries.get_groups_by_codename(session, set(codenames))
    }
    added = [group for name, group in wanted.items() if name not in current]
    removed = [group for name, group in current.items() if name not in wanted]
    await _check_may_move(session, [*added, *removed], current, actor)
    if any(group.codename == SUPER_ADMIN for group in removed):
        await _keep_a_superuser(session, user_id)
    await _move(session, user_id, added, removed, by=actor.user_id)
    return sorted(wanted.values(), key=lambda group: group.codename)


async def _move(
    session: AsyncSession,
    user_id: UUID,
    added: Collection[Group],
    removed: Collection[Group],
    *,
    by: UUID | None,
) -> None:
    if removed:
        gone = [group.id for group in removed]
        await session.execute(
            delete(UserGroup).where(UserGroup.user_id == user_id, UserGroup.group_id.in_(gone))
        )
    if added:
        rows = [{"user_id": user_id, "group_id": group.id, "assigned_by": by} for group in added]
        await session.execute(insert(UserGroup).values(rows))
    await announce_user(session, user_id)
    joined, left = (_ordered(group.codename for group in some) for some in (added, removed))
    publish(session, UserGroupsChanged(user_id, joined, left, by=by))


async def _check_may_move(
    session: AsyncSession, groups: Collection[Group], current: Collection[str], actor: Actor
) -> None:
    """Into or out of a group is to be given or to lose all that it holds."""
    if actor.is_superuser:
        return
    if SUPER_ADMIN in current or any(group.codename == SUPER_ADMIN for group in groups):
        raise AboveYou
    held = await queries.permissions_by_group(session, [group.id for group in groups])
    _check_may_grant(actor, {name for names in held.values() for name in names})


async def _check_may_switch(session: AsyncSession, group: Group, actor: Actor) -> None:
    if group.codename == SUPER_ADMIN:
        raise SuperAdminFixed
    held = await queries.permissions_by_group(session, [group.id])
    _check_may_grant(actor, held.get(group.id, ()))


def _check_may_grant(actor: Actor, names: Iterable[str]) -> None:
    if lacking := [name for name in names if not actor.has(name)]:
        raise CannotGrant(lacking)


async def _keep_a_superuser(session: AsyncSession, user_id: UUID) -> None:
    if not await queries.has_other_superuser(session, user_id):
        raise LastSuperuser


async def _flush_or(session: AsyncSession, taken: Exception) -> None:
    """Write; a name that is taken, also by a racing request, becomes `taken`."""
    try:
        await session.flush()
    except IntegrityError as error:
        raise taken from error


def _assign(row: object, changes: Mapping[str, Any]) -> None:
    for name, value in changes.items():
        setattr(row, name, value)


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
