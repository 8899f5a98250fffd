"""`/users`: the caller's own account, and everybody's for administrators."""

from typing import Annotated
from uuid import UUID

from undercroft.foundation.access import Needs, Permission, SignedIn, StepUpRequired
from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import CurrentActor, Router, Session, searched_by, sorted_by
from undercroft.foundation.problems import MissingPermission
from undercroft.identity.auth.errors import PasswordRefused, SignInLocked, WrongPassword
from undercroft.identity.auth.service import change_password, reset_password
from undercroft.identity.parts import IdentityParts
from undercroft.identity.users import queries, service
from undercroft.identity.users.errors import (
    AboveYou,
    IdentifierTaken,
    LastSuperuser,
    NotYourself,
    UserNotFound,
)
from undercroft.identity.users.identifiers import (
    IdentifierInvalid,
    parse_identifier,
    parse_username,
)
from undercroft.identity.users.models import UserStatus
from undercroft.identity.users.schemas import (
    BulkAction,
    BulkOutcome,
    BulkReport,
    PasswordChange,
    PasswordReset,
    UserCreate,
    UsernameChange,
    UserRead,
    UserUpdate,
    UserUpdateByAdmin,
)

PERMISSIONS = (
    Permission("users:read", "See every account."),
    Permission("users:create", "Make accounts."),
    Permission("users:update", "Change what describes an account, and usernames."),
    Permission("users:suspend", "Suspend, deactivate and reactivate accounts."),
    Permission("users:delete", "Delete accounts."),
    Permission("passwords:reset", "Set the passwords of others."),
)

router = Router("/users", tag="identity")


@router.get("/me", access=SignedIn())
async def get_me(session: Session, actor: CurrentActor) -> UserRead:
    """Your own account."""
    assert actor.user_id
    return UserRead.model_validate(await queries.get_user(session, actor.user_id))


@router.patch("/me", access=SignedIn())
async def update_me(change: UserUpdate, session: Session, actor: CurrentActor) -> UserRead:
    """Change your own account. What is left out stays as it is."""
    assert actor.user_id
    changes = change.model_dump(exclude_unset=True)
    user = await service.update_user(session, actor.user_id, changes, actor=actor)
    return UserRead.model_validate(user)


@router.patch(
    "/me/username",
    access=SignedIn(),
    rate="availability",
    problems=(IdentifierTaken, IdentifierInvalid),
)
async def change_my_username(
    change: UsernameChange, session: Session, actor: CurrentActor
) -> UserRead:
    """Take another username, or a first one. You can sign in with it from now on."""
    assert actor.user_id
    username = parse_username(change.username)
    user = await service.rename_user(session, actor.user_id, username, actor=actor)
    return UserRead.model_validate(user)


@router.patch(
    "/me/password",
    access=SignedIn(),
    rate="password",
    status_code=204,
    problems=(WrongPassword, PasswordRefused, SignInLocked, StepUpRequired),
)
async def change_my_password(
    change: PasswordChange, session: Session, actor: CurrentActor, identity: IdentityParts
) -> None:
    """Change your password. Every other session of yours ends."""
    await change_password(
        session, identity, actor, change.current_password, change.new_password, now=utc_now()
    )


@router.get("", access=Needs("users:read"))
async def list_users(
    session: Session,
    page: Annotated[
        PageRequest, sorted_by("created_at", "updated_at", "email", "username", "last_sign_in_at")
    ],
    search: Annotated[str | None, searched_by("Start of an identifier or a name.")] = None,
    status: UserStatus | None = None,
) -> Page[UserRead]:
    """All accounts, newest first; deleted ones only with `status=deleted`."""
    users, cursor, total = await queries.list_users(session, page, search=search, status=status)
    items = [UserRead.model_validate(user) for user in users]
    return Page[UserRead](items=items, next_cursor=cursor, total=total)


@router.post(
    "", access=Needs("users:create"), status_code=201, problems=(IdentifierTaken, PasswordRefused)
)
async def create_user(
    new: UserCreate, session: Session, actor: CurrentActor, identity: IdentityParts
) -> UserRead:
    """Make an account that is active at once."""
    identifier = parse_identifier(new.identifier)
    identity.passwords.check_policy(new.password, identifier.words)
    hashed = await identity.passwords.hash(new.password)
    user = await service.create_user(session, identifier, password_hash=hashed, by=actor.user_id)
    return UserRead.model_validate(user)


@router.get("/{user_id}", access=Needs("users:read"), problems=(UserNotFound,))
async def get_user(user_id: UUID, session: Session) -> UserRead:
    """One account."""
    return UserRead.model_validate(await queries.get_user(session, user_id))


@router.patch("/{user_id}", access=Needs("users:update"), problems=(UserNotFound, AboveYou))
async def update_user(
    user_id: UUID, change: UserUpdateByAdmin, session: Session, actor: CurrentActor
) -> UserRead:
    """Change an account. What is left out stays as it is."""
    changes = change.model_dump(exclude_unset=True)
    user = await service.update_user(session, user_id, changes, actor=actor)
    return UserRead.model_validate(user)


@router.patch(
    "/{user_id}/username",
    access=Needs("users:update"),
    problems=(UserNotFound, AboveYou, IdentifierTaken, IdentifierInvalid),
)
async def rename_user(
    user_id: UUID, change: UsernameChange, session: Session, actor: CurrentActor
) -> UserRead:
    """Give an account another username."""
    username = parse_username(change.username)
    user = await service.rename_user(session, user_id, username, actor=actor)
    return UserRead.model_validate(user)


@router.patch(
    "/{user_id}/password",
    access=Needs("passwords:reset"),
    rate="password",
    status_code=204,
    problems=(UserNotFound, AboveYou, PasswordRefused, NotYourself),
)
async def reset_user_password(
    user_id: UUID,
    change: PasswordReset,
    session: Session,
    actor: CurrentActor,
    identity: IdentityParts,
) -> None:
    """Set somebody's password; all their sessions end. Your own needs the present one."""
    await reset_password(session, identity, actor, user_id, change.new_password)


BULK = {
    "activate": (UserStatus.ACTIVE, "users:suspend"),
    "deactivate": (UserStatus.DEACTIVATED, "users:suspend"),
    "delete": (UserStatus.DELETED, "users:delete"),
}


@router.post("/bulk-action", access=Needs("users:suspend"), problems=(MissingPermission,))
async def change_many_users(body: BulkAction, session: Session, actor: CurrentActor) -> BulkReport:
    """Activate, deactivate or delete up to 100 accounts, never your own.

    The report says for each what happened; a refusal of one does not keep the others from it.
    Deleting needs `users:delete`.
    """
    status, permission = BULK[body.action]
    if not actor.has(permission):
        raise MissingPermission(permission)
    outcomes = await service.change_many(session, body.user_ids, status, actor=actor)
    results = [
        BulkOutcome(user_id=user_id, done=problem is None, code=problem and problem.code)
        for user_id, problem in outcomes.items()
    ]
    affected = sum(result.done for result in results)
    return BulkReport(affected=affected, failed=len(results) - affected, results=results)


STATE_PROBLEMS = (UserNotFound, LastSuperuser, NotYourself)


@router.post("/{user_id}/suspend", access=Needs("users:suspend"), problems=STATE_PROBLEMS)
async def suspend_user(user_id: UUID, session: Session, actor: CurrentActor) -> UserRead:
    """Suspend an account; all its sessions end at once."""
    user = await service.set_status(session, user_id, UserStatus.SUSPENDED, actor=actor)
    return UserRead.model_validate(user)


@router.post("/{user_id}/deactivate", access=Needs("users:suspend"), problems=STATE_PROBLEMS)
async def deactivate_user(user_id: UUID, session: Session, actor: CurrentActor) -> UserRead:
    """Deactivate an account; all its sessions end at once."""
    user = await service.set_status(session, user_id, UserStatus.DEACTIVATED, actor=actor)
    return UserRead.model_validate(user)


@router.post("/{user_id}/activate", access=Needs("users:suspend"), problems=STATE_PROBLEMS)
async def activate_user(user_id: UUID, session: Session, actor: CurrentActor) -> UserRead:
    """Let a suspended, deactivated or unverified account sign in, or bring a deleted one back.

    A deleted account can be brought back until it is erased.
    """
    user = await service.set_status(session, user_id, UserStatus.ACTIVE, actor=actor)
    return UserRead.model_validate(user)


@router.delete("/{user_id}", access=Needs("users:delete"), status_code=204, problems=STATE_PROBLEMS)
async def delete_user(user_id: UUID, session: Session, actor: CurrentActor) -> None:
    """Delete an account; all its sessions end at once."""
    await service.set_status(session, user_id, UserStatus.DELETED, actor=actor)
