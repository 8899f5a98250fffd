"""Every SELECT about permissions and groups."""

from collections.abc import Collection, Iterable
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.db import PageRequest, Sorts, containing, paginate
from undercroft.identity.access.catalogue import EARLIER
from undercroft.identity.access.errors import (
    GroupNotFound,
    PermissionNotFound,
    UnknownGroups,
    UnknownPermissions,
)
from undercroft.identity.access.models import (
    SUPER_ADMIN,
    Group,
    GroupPermission,
    PermissionRecord,
    UserGroup,
)
from undercroft.identity.users.models import User, UserStatus

MAY_SIGN_IN = [status for status in UserStatus if status.may_sign_in]


async def list_permissions(
    session: AsyncSession, page: PageRequest, *, search: str | None, category: str | None
) -> tuple[list[PermissionRecord], str | None, int | None]:
    """By category, then codename. `search` is a part of codename or name."""
    statement = select(PermissionRecord)
    if category:
        statement = statement.where(PermissionRecord.category == category)
    if search:
        fields = (PermissionRecord.codename, PermissionRecord.name)
        statement = statement.where(containing(search, *fields))
    keys = (PermissionRecord.category, PermissionRecord.codename)
    sorts = _sorts(PermissionRecord)
    return await paginate(session, statement, page, keys=keys, descending=False, sorts=sorts)


async def get_permission(
    session: AsyncSession, permission_id: UUID, *, lock: bool = False
) -> PermissionRecord:
    found = await session.get(PermissionRecord, permission_id, with_for_update=lock or None)
    if found is None:
        raise PermissionNotFound
    return found


async def resolve_permissions(
    session: AsyncSession, names: Iterable[str], ids: Iterable[UUID] = ()
) -> set[str]:
    """Codenames from codenames of ours, earlier ones and ids. Raises `UnknownPermissions`.

    None of them is deleted until commit, so that what was found can be given.
    """
    wanted = {EARLIER.get(name, name) for name in names}
    wanted_ids = set(ids)
    statement = select(PermissionRecord.id, PermissionRecord.codename).where(
        PermissionRecord.codename.in_(wanted) | PermissionRecord.id.in_(wanted_ids)
    )
    statement = statement.order_by(PermissionRecord.id)
    statement = statement.with_for_update(read=True, key_share=True)
    rows = (await session.execute(statement)).all()
    unknown = wanted - {row.codename for row in rows}
    unknown |= {str(missing) for missing in wanted_ids - {row.id for row in rows}}
    if unknown:
        raise UnknownPermissions(unknown)
    return {row.codename for row in rows}


async def list_groups(
    session: AsyncSession, page: PageRequest, *, is_active: bool | None, search: str | None
) -> tuple[list[Group], str | None, int | None]:
    statement = select(Group)
    if is_active is not None:
        statement = statement.where(Group.is_active == is_active)
    if search:
        statement = statement.where(containing(search, Group.codename, Group.name))
    keys = (Group.codename,)
    return await paginate(
        session, statement, page, keys=keys, descending=False, sorts=_sorts(Group)
    )


def _sorts(model: type[PermissionRecord | Group]) -> Sorts:
    return {"codename": model.codename, "name": model.name, "created_at": model.created_at}


async def every_group(session: AsyncSession) -> list[tuple[Group, int]]:
    """All groups by codename, with the number of accounts in each."""
    members = (
        select(func.count())
        .where(UserGroup.group_id == Group.id)
        .correlate(Group)
        .scalar_subquery()
    )
    rows = await session.execute(select(Group, members).order_by(Group.codename))
    return [(row[0], row[1]) for row in rows]


async def get_group(session: AsyncSession, group_id: UUID, *, lock: bool = False) -> Group:
    found = await session.get(Group, group_id, with_for_update=lock or None)
    if found is None:
        raise GroupNotFound
    return found


async def find_group_by_codename(session: AsyncSession, codename: str) -> Group | None:
    group: Group | None = await session.scalar(select(Group).where(Group.codename == codename))
    return group


async def get_groups_by_codename(session: AsyncSession, codenames: Collection[str]) -> list[Group]:
    """Locked against changes of what they give. Raises `UnknownGroups`."""
    statement = (
        select(Group)
        .where(Group.codename.in_(codenames))
        .order_by(Group.id)
        .with_for_update(read=True)
    )
    groups = list(await session.scalars(statement))
    if unknown := set(codenames) - {group.codename for group in groups}:
        raise UnknownGroups(unknown)
    return groups


async def permissions_by_group(
    session: AsyncSession, group_ids: Collection[UUID]
) -> dict[UUID, list[str]]:
    """Permissions of each group that has any, sorted."""
    statement = (
        select(GroupPermission.group_id, GroupPermission.permission)
        .where(GroupPermission.group_id.in_(group_ids))
        .order_by(GroupPermission.permission)
    )
    found: dict[UUID, list[str]] = {}
    for group_id, permission in await session.execute(statement):
        found.setdefault(group_id, []).append(permission)
    return found


async def groups_of_user(session: AsyncSession, user_id: UUID) -> list[Group]:
    statement = (
        select(Group)
        .join(UserGroup, UserGroup.group_id == Group.id)
        .where(UserGroup.user_id == user_id)
        .order_by(Group.codename)
    )
    return list(await session.scalars(statement))


async def permissions_of_user(session: AsyncSession, user_id: UUID) -> dict[str, list[str]]:
    """Each permission held and the active groups it comes through; super_admin's is all of them."""
    own = (
        select(PermissionRecord.codename, Group.codename)
        .join(UserGroup, UserGroup.group_id == Group.id)
        .join(GroupPermission, GroupPermission.group_id == Group.id, isouter=True)
        .join(
            PermissionRecord,
            (PermissionRecord.codename == GroupPermission.permission)
            | (Group.codename == SUPER_ADMIN),
        )
        .where(UserGroup.user_id == user_id, Group.is_active)
        .order_by(PermissionRecord.codename, Group.codename)
        .distinct()
    )
    held: dict[str, list[str]] = {}
    for permission, group in await session.execute(own):
        held.setdefault(permission, []).append(group)
    return held


async def groups_giving(session: AsyncSession, permission: str) -> list[str]:
    """Codenames of the active groups that hold `permission`."""
    statement = (
        select(Group.codename)
        .join(GroupPermission, GroupPermission.group_id == Group.id)
        .where(GroupPermission.permission == permission, Group.is_active)
        .order_by(Group.codename)
    )
    return list(await session.scalars(statement))


async def list_members(
    session: AsyncSession, group_id: UUID, page: PageRequest
) -> tuple[list[User], str | None, int | None]:
    """Accounts in a group, oldest first."""
    statement = (
        select(User)
        .join(UserGroup, UserGroup.user_id == User.id)
        .where(UserGroup.group_id == group_id, User.status != UserStatus.DELETED)
    )
    keys = (User.created_at, User.id)
    return await paginate(session, statement, page, keys=keys, descending=False)


async def lock_superusers(session: AsyncSession) -> None:
    """Hold the right to reduce the superusers until commit.

    Taken before any account is locked, so that two who suspend each other wait for one another
    in the same order; the second then sees what the first did.
    """
    statement = select(Group.id).where(Group.codename == SUPER_ADMIN)
    await session.execute(statement.with_for_update(key_share=True))


async def has_other_superuser(session: AsyncSession, user_id: UUID) -> bool:
    """Whether somebody else could still administer. Call with `lock_superusers` held."""
    statement = (
        select(func.count())
        .select_from(UserGroup)
        .join(Group, Group.id == UserGroup.group_id)
        .join(User, User.id == UserGroup.user_id)
        .where(Group.codename == SUPER_ADMIN, UserGroup.user_id != user_id)
        .where(User.status.in_(MAY_SIGN_IN))
    )
    return bool(await session.scalar(statement))
