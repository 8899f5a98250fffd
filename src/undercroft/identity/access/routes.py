"""`/permissions`, `/groups`, who is in which, and why somebody may or may not."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from undercroft.foundation.access import Needs, Permission, SignedIn
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import CurrentActor, Router, Session, searched_by, sorted_by
from undercroft.identity.access import queries, schemas, service
from undercroft.identity.access.access import (
    GroupToChange,
    GroupToRead,
    PermissionToChange,
    PermissionToRead,
)
from undercroft.identity.access.errors import (
    CannotGrant,
    GroupNotFound,
    GroupTaken,
    PermissionNotFound,
    PermissionTaken,
    SuperAdminFixed,
    SystemGroup,
    SystemPermission,
    UnknownGroups,
    UnknownPermissions,
)
from undercroft.identity.access.explain import explain
from undercroft.identity.access.models import Group
from undercroft.identity.users.errors import AboveYou, LastSuperuser, UserNotFound
from undercroft.identity.users.queries import get_user

PERMISSIONS = (
    Permission("permissions:read", "See which permissions exist and why somebody holds one."),
    Permission("permissions:create", "Add custom permissions."),
    Permission("permissions:update", "Change custom permissions."),
    Permission("permissions:delete", "Delete custom permissions."),
    Permission("groups:read", "See groups and what they permit."),
    Permission("groups:create", "Add groups."),
    Permission("groups:update", "Change groups and what they permit."),
    Permission("groups:delete", "Delete groups."),
    Permission("groups:assign", "Put users into groups and take them out."),
)

permission_router = Router("/permissions", tag="identity")
group_router = Router("/groups", tag="identity")
user_router = Router("/users", tag="identity")
access_router = Router("/access", tag="identity")


@permission_router.get("", access=Needs("permissions:read"))
async def list_permissions(
    session: Session,
    page: Annotated[PageRequest, sorted_by("codename", "name", "created_at")],
    search: Annotated[str | None, searched_by("Part of codename or name.")] = None,
    category: Annotated[str | None, Query(max_length=50)] = None,
) -> Page[schemas.PermissionRead]:
    """Every permission that can be given, by category and codename."""
    found, cursor, total = await queries.list_permissions(
        session, page, search=search, category=category
    )
    items = [schemas.PermissionRead.model_validate(permission) for permission in found]
    return Page[schemas.PermissionRead](items=items, next_cursor=cursor, total=total)


@permission_router.post(
    "", access=Needs("permissions:create"), status_code=201, problems=(PermissionTaken,)
)
async def create_permission(
    new: schemas.PermissionCreate, session: Session, actor: CurrentActor
) -> schemas.PermissionRead:
    """Add a custom permission: give it to groups, ask for it with `auth.has` in policies."""
    permission = await service.create_permission(session, new.model_dump(), actor=actor)
    return schemas.PermissionRead.model_validate(permission)


@permission_router.get(
    "/{permission_id}", access=Needs("permissions:read"), problems=(PermissionNotFound,)
)
async def get_permission(permission: PermissionToRead) -> schemas.PermissionRead:
    """One permission."""
    return schemas.PermissionRead.model_validate(permission)


@permission_router.put(
    "/{permission_id}",
    access=Needs("permissions:update"),
    problems=(PermissionNotFound, PermissionTaken, SystemPermission, CannotGrant),
)
async def update_permission(
    change: schemas.PermissionUpdate,
    permission: PermissionToChange,
    session: Session,
    actor: CurrentActor,
) -> schemas.PermissionRead:
    """Change a custom permission. What is left out stays as it is."""
    changes = change.model_dump(exclude_unset=True)
    changed = await service.update_permission(session, permission, changes, actor=actor)
    return schemas.PermissionRead.model_validate(changed)


@permission_router.delete(
    "/{permission_id}",
    access=Needs("permissions:delete"),
    status_code=204,
    problems=(PermissionNotFound, SystemPermission),
)
async def delete_permission(
    permission: PermissionToChange, session: Session, actor: CurrentActor
) -> None:
    """Delete a custom permission; every group and API key loses it."""
    await service.delete_permission(session, permission, actor=actor)


@group_router.get("", access=Needs("groups:read"))
async def list_groups(
    session: Session,
    page: Annotated[PageRequest, sorted_by("codename", "name", "created_at")],
    is_active: bool | None = None,
    search: Annotated[str | None, searched_by("Part of codename or name.")] = None,
) -> Page[schemas.GroupRead]:
    """Groups by codename, each with its permissions."""
    groups, cursor, total = await queries.list_groups(
        session, page, is_active=is_active, search=search
    )
    items = await _read_groups(session, groups)
    return Page[schemas.GroupRead](items=items, next_cursor=cursor, total=total)


@group_router.post("", access=Needs("groups:create"), status_code=201, problems=(GroupTaken,))
async def create_group(
    new: schemas.GroupCreate, session: Session, actor: CurrentActor
) -> schemas.GroupRead:
    """Add a group; it permits nothing yet."""
    group = await service.create_group(session, new.model_dump(), actor=actor)
    return schemas.GroupRead.model_validate(group)


@group_router.get("/{group_id}", access=Needs("groups:read"), problems=(GroupNotFound,))
async def get_group(group: GroupToRead, session: Session) -> schemas.GroupRead:
    """One group with its permissions."""
    (read,) = await _read_groups(session, [group])
    return read


@group_router.put(
    "/{group_id}",
    access=Needs("groups:update"),
    problems=(GroupNotFound, GroupTaken, SystemGroup, SuperAdminFixed, CannotGrant),
)
async def update_group(
    change: schemas.GroupUpdate, group: GroupToChange, session: Session, actor: CurrentActor
) -> schemas.GroupRead:
    """Rename a group or switch it off and on. What is left out stays as it is."""
    changed = await service.update_group(
        session, group, change.model_dump(exclude_unset=True), actor=actor
    )
    (read,) = await _read_groups(session, [changed])
    return read


@group_router.delete(
    "/{group_id}",
    access=Needs("groups:delete"),
    status_code=204,
    problems=(GroupNotFound, SystemGroup, CannotGrant),
)
async def delete_group(group: GroupToChange, session: Session, actor: CurrentActor) -> None:
    """Delete a group; its members lose what it gave. System groups stay."""
    await service.delete_group(session, group, actor=actor)


@group_router.post(
    "/{group_id}/permissions",
    access=Needs("groups:update"),
    problems=(GroupNotFound, UnknownPermissions, SuperAdminFixed, CannotGrant),
)
async def replace_group_permissions(
    body: schemas.GroupPermissions, group: GroupToChange, session: Session, actor: CurrentActor
) -> schemas.GroupRead:
    """Replace what a group permits. You can add and remove only what you hold yourself."""
    wanted = await queries.resolve_permissions(session, body.permissions, body.permission_ids)
    await service.replace_group_permissions(session, group, wanted, actor=actor)
    read = schemas.GroupRead.model_validate(group)
    return read.model_copy(update={"permissions": sorted(wanted)})


# Before the routes with an id: `me` would not pass for one.
@user_router.get("/me/groups", access=SignedIn())
async def list_my_groups(session: Session, actor: CurrentActor) -> Page[schemas.GroupRead]:
    """The groups you are in."""
    assert actor.user_id
    groups = await queries.groups_of_user(session, actor.user_id)
    return Page[schemas.GroupRead].whole(await _read_groups(session, groups))


@user_router.get("/me/permissions", access=SignedIn())
async def list_my_permissions(
    session: Session, actor: CurrentActor
) -> Page[schemas.HeldPermission]:
    """What you may do, and through which groups."""
    assert actor.user_id
    return await _held(session, actor.user_id)


@user_router.get("/{user_id}/groups", access=Needs("users:read"), problems=(UserNotFound,))
async def list_user_groups(user_id: UUID, session: Session) -> Page[schemas.GroupRead]:
    """The groups a user is in."""
    await get_user(session, user_id)
    groups = await queries.groups_of_user(session, user_id)
    return Page[schemas.GroupRead].whole(await _read_groups(session, groups))


@user_router.post(
    "/{user_id}/groups",
    access=Needs("groups:assign"),
    problems=(UserNotFound, UnknownGroups, AboveYou, CannotGrant, LastSuperuser),
)
async def replace_user_groups(
    user_id: UUID, body: schemas.UserGroups, session: Session, actor: CurrentActor
) -> Page[schemas.GroupRead]:
    """Replace a user's groups. It shows at their next request.

    You can put somebody into a group, or take them out, only if you hold all it permits.
    """
    groups = await service.replace_user_groups(session, user_id, body.groups, actor=actor)
    return Page[schemas.GroupRead].whole(await _read_groups(session, groups))


@user_router.get("/{user_id}/permissions", access=Needs("users:read"), problems=(UserNotFound,))
async def list_user_permissions(user_id: UUID, session: Session) -> Page[schemas.HeldPermission]:
    """What a user may do, and through which groups."""
    await get_user(session, user_id)
    return await _held(session, user_id)


@access_router.get(
    "/explain",
    access=Needs("permissions:read"),
    problems=(UserNotFound, UnknownPermissions),
)
async def explain_access(
    session: Session,
    user: UUID,
    permission: Annotated[str, Query(max_length=100, examples=["users:read"])],
    resource: Annotated[
        str | None,
        Query(
            max_length=200,
            description="`organization:<id>` or a table such as `public.flights`.",
        ),
    ] = None,
) -> schemas.Explanation:
    """Which group, role or policy decides whether a user may do something, and why not."""
    return await explain(session, user, permission, resource)


async def _read_groups(session: Session, groups: list[Group]) -> list[schemas.GroupRead]:
    held = await queries.permissions_by_group(session, [group.id for group in groups])
    return [
        schemas.GroupRead.model_validate(group).model_copy(
            update={"permissions": held.get(group.id, [])}
        )
        for group in groups
    ]


async def _held(session: Session, user_id: UUID) -> Page[schemas.HeldPermission]:
    held = await queries.permissions_of_user(session, user_id)
    return Page[schemas.HeldPermission].whole(
        [schemas.HeldPermission(codename=name, groups=groups) for name, groups in held.items()]
    )
