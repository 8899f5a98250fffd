"""Which permissions exist, and which groups a fresh database gives them to.

The domains declare what their routes ask for. Beside these stand names that no route of ours asks
for yet: an app or a policy may, and systems before us had them under the names in `EARLIER`.
"""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Permission
from undercroft.foundation.ids import new_id
from undercroft.identity.access.models import (
    EVERYBODY,
    SUPER_ADMIN,
    Group,
    GroupPermission,
    PermissionRecord,
    UserGroup,
)
from undercroft.identity.users.models import User

SYSTEM_GROUPS: Mapping[str, str] = {
    SUPER_ADMIN: "Holds every permission.",
    "admin": "Runs the place.",
    "moderator": "Looks after content and people.",
    "vendor": "Offers something.",
    EVERYBODY: "Everybody who signed up.",
}

# Several earlier names may mean one permission of ours, never the other way round. Permissions of
# a group may be given by either name.
EARLIER: Mapping[str, str] = {
    "view_profile": "profiles:read",
    "edit_profile": "profiles:update",
    "view_user": "users:read",
    "add_user": "users:create",
    "edit_user": "users:update",
    "delete_user": "users:delete",
    "suspend_user": "users:suspend",
    "activate_user": "users:suspend",
    "reset_user_password": "passwords:reset",
    "force_logout": "sessions:terminate",
    "view_permission": "permissions:read",
    "add_permission": "permissions:create",
    "edit_permission": "permissions:update",
    "delete_permission": "permissions:delete",
    "assign_permissions": "groups:update",
    "revoke_permissions": "groups:update",
    "view_group": "groups:read",
    "add_group": "groups:create",
    "edit_group": "groups:update",
    "delete_group": "groups:delete",
    "assign_groups": "groups:assign",
    "view_dashboard": "dashboard:read",
    "create_activity_log": "activity:create",
    "view_activity_log": "activity:read",
    "view_own_activity_log": "own_activity:read",
    "view_activity_statistics": "activity_statistics:read",
    "delete_activity_log": "activity:delete",
    "export_activity_log": "activity:export",
    "monitor_user_sessions": "sessions:read",
    "terminate_user_session": "sessions:terminate",
    "add_upload": "uploads:create",
    "delete_upload": "uploads:delete",
    "view_system_health": "health:read",
    "test_sentry": "health:test",
    "view_login_attempts": "sign_in_attempts:read",
    "clear_login_attempts": "sign_in_attempts:delete",
    "manage_2fa": "second_factors:manage",
    "view_api_keys": "api_keys:read",
    "generate_api_key": "api_keys:create",
    "revoke_api_key": "api_keys:delete",
    "view_settings": "settings:read",
    "edit_settings": "settings:update",
    "view_notifications": "notifications:read",
    "send_notifications": "notifications:send",
    "delete_notifications": "notifications:delete",
    "view_billing": "billing:read",
    "edit_subscription": "subscriptions:update",
    "refund_payment": "payments:refund",
    "view_invoices": "invoices:read",
    "add_content": "contents:create",
    "edit_content": "contents:update",
    "delete_content": "contents:delete",
    "publish_content": "contents:publish",
    "unpublish_content": "contents:unpublish",
    "view_api_usage": "api_usage:read",
    "limit_api_usage": "api_usage:limit",
    "delete_api_client": "api_clients:delete",
}

_EVERYBODYS = (
    "profiles:read",
    "profiles:update",
    "own_activity:read",
    "uploads:create",
    "uploads:delete",
)
_STAFF = (*_EVERYBODYS, "users:read", "dashboard:read", "activity_statistics:read", "health:read")
# Beside these, `admin` is given every permission of the platform.
DEFAULTS: Mapping[str, Sequence[str]] = {
    EVERYBODY: _EVERYBODYS,
    "moderator": (*_STAFF, "activity:read"),
    "vendor": (*_STAFF, "activity:create"),
}


def every_permission(declared: Iterable[Permission]) -> dict[str, str]:
    """Sentence by name, of what the domains declare and what only the earlier names ask for."""
    sentences = {name: f"{title_of(name)}." for name in EARLIER.values()}
    return sentences | {permission.name: permission.sentence for permission in declared}


def title_of(name: str) -> str:
    """`sign_in_attempts:delete` as words for the console: Delete sign in attempts."""
    noun, _, verb = name.partition(":")
    return f"{verb} {noun}".replace("_", " ").capitalize()


async def ensure_catalogue(session: AsyncSession, declared: Iterable[Permission]) -> None:
    """Bring groups and permissions of the platform into the database.

    A permission goes to its default groups when it first appears and never again, so that what
    an administrator took away stays away.
    """
    declared = tuple(declared)
    new_groups = await _ensure_groups(session)
    if EVERYBODY in new_groups:
        await _gather_everybody(session)
    sentences = every_permission(declared)
    rows = [
        {
            "id": new_id(),
            "codename": name,
            "name": title_of(name),
            "description": sentence,
            "category": name.partition(":")[0],
            "is_system": True,
        }
        for name, sentence in sorted(sentences.items())
    ]
    statement = insert(PermissionRecord).values(rows).on_conflict_do_nothing()
    new = set(await session.scalars(statement.returning(PermissionRecord.codename)))
    await _describe(session, rows)
    await _give_to_defaults(session, new, _wanted(declared))


async def _ensure_groups(session: AsyncSession) -> set[str]:
    """Return the codenames of those made now."""
    rows = [
        {
            "id": new_id(),
            "codename": codename,
            "name": codename,
            "description": description,
            "is_system": True,
        }
        for codename, description in SYSTEM_GROUPS.items()
    ]
    statement = insert(Group).values(rows).on_conflict_do_nothing().returning(Group.codename)
    return set(await session.scalars(statement))


async def _gather_everybody(session: AsyncSession) -> None:
    """Accounts from before there were groups join the one of everybody, once.

    Later it would give back what an administrator took away.
    """
    members = select(User.id, Group.id).join_from(User, Group, Group.codename == EVERYBODY)
    statement = insert(UserGroup).from_select(["user_id", "group_id"], members)
    await session.execute(statement.on_conflict_do_nothing())


async def _describe(session: AsyncSession, rows: Sequence[Mapping[str, object]]) -> None:
    """A new version may have found better words, or made its own what was a custom one."""
    statement = insert(PermissionRecord).values(list(rows))
    better = statement.excluded
    stale = PermissionRecord.description.is_distinct_from(better.description)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[PermissionRecord.codename],
            set_={"description": better.description, "is_system": True, "updated_at": func.now()},
            where=stale | ~PermissionRecord.is_system,
        )
    )


def _wanted(declared: Iterable[Permission]) -> Mapping[str, set[str]]:
    """Permissions by the group that they go to, `admin` aside."""
    wanted = {codename: set(permissions) for codename, permissions in DEFAULTS.items()}
    for permission in declared:
        for codename in permission.groups:
            wanted.setdefault(codename, set()).add(permission.name)
    return wanted


async def _give_to_defaults(
    session: AsyncSession, new: set[str], wanted: Mapping[str, set[str]]
) -> None:
    groups = await session.execute(select(Group.codename, Group.id))
    rows = [
        {"group_id": group_id, "permission": name}
        for codename, group_id in groups
        for name in (new if codename == "admin" else new & wanted.get(codename, set()))
    ]
    if rows:
        await session.execute(insert(GroupPermission).values(rows).on_conflict_do_nothing())
