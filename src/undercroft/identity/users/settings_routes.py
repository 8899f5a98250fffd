"""`/settings`: a person's own profile, preferences and farewell."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from undercroft.foundation.access import SignedIn, SteppedUp, StepUpRequired
from undercroft.foundation.clock import utc_now
from undercroft.foundation.http import CurrentActor, Router, Session
from undercroft.identity.parts import IdentityParts
from undercroft.identity.users import queries, service, settings_schemas
from undercroft.identity.users.erasure import export_user
from undercroft.identity.users.errors import (
    ConfirmationNeeded,
    LastSuperuser,
    ProfilePrivate,
    StillOwner,
    UserNotFound,
)
from undercroft.identity.users.models import UserStatus
from undercroft.identity.users.settings_schemas import (
    Accessibility,
    ProfileRead,
    ProfileUpdate,
    PublicProfile,
    SettingsRead,
)

router = Router("/settings", tag="identity")
SEES_ALL = "users:read"


async def _read_settings(session: Session, actor: CurrentActor) -> SettingsRead:
    assert actor.user_id
    return SettingsRead.model_validate(await queries.get_user(session, actor.user_id))


# The second path of each pair is the one that clients of earlier systems call.
for path, name in (("", "get_settings"), ("/get-settings", "get_settings_alias")):
    router.get(
        path,
        access=SignedIn(),
        operation_id=name,
        summary="Your preferences",
        description="Theme, language, time zone and who sees your profile.",
    )(_read_settings)


@router.get("/profile", access=SignedIn())
async def get_profile(session: Session, actor: CurrentActor) -> ProfileRead:
    """Your whole profile."""
    assert actor.user_id
    return ProfileRead.model_validate(await queries.get_user(session, actor.user_id))


async def _update_profile(
    change: ProfileUpdate, session: Session, actor: CurrentActor
) -> ProfileRead:
    assert actor.user_id
    changes = change.model_dump(exclude_unset=True)
    user = await service.update_user(session, actor.user_id, changes, actor=actor)
    return ProfileRead.model_validate(user)


for declare, path, name in (
    (router.put, "/profile", "update_profile"),
    (router.post, "/update-profile", "update_profile_alias"),
):
    declare(
        path,
        access=SignedIn(),
        operation_id=name,
        summary="Change your profile",
        description="What is left out stays as it is. Status, verification, addresses and rights "
        "are not part of it.",
    )(_update_profile)


@router.get("/profile/{user_id}", access=SignedIn(), problems=(UserNotFound, ProfilePrivate))
async def get_profile_of(user_id: UUID, session: Session, actor: CurrentActor) -> PublicProfile:
    """Somebody's public profile. A private one is shown to its owner and to `users:read`."""
    user = await queries.get_user(session, user_id)
    private = user.profile_accessibility == Accessibility.PRIVATE
    hidden = private or not UserStatus(user.status).may_sign_in
    if hidden and user_id != actor.user_id and not actor.has(SEES_ALL):
        raise ProfilePrivate
    return PublicProfile.model_validate(user)


async def _change(
    session: Session, actor: CurrentActor, changes: dict[str, object]
) -> SettingsRead:
    assert actor.user_id
    user = await service.update_user(session, actor.user_id, changes, actor=actor)
    return SettingsRead.model_validate(user)


@router.post("/profile-accessibility", access=SignedIn())
async def change_profile_accessibility(
    change: settings_schemas.AccessibilityChange, session: Session, actor: CurrentActor
) -> SettingsRead:
    """Show your profile to everybody, or to nobody."""
    return await _change(session, actor, change.model_dump())


@router.post("/profile-language", access=SignedIn())
async def change_profile_language(
    change: settings_schemas.LanguageChange, session: Session, actor: CurrentActor
) -> SettingsRead:
    """Choose the language of messages and mails."""
    return await _change(session, actor, change.model_dump())


@router.post("/update-theme", access=SignedIn())
async def change_theme(
    change: settings_schemas.ThemeChange, session: Session, actor: CurrentActor
) -> SettingsRead:
    """Choose light, dark or dynamic."""
    return await _change(session, actor, change.model_dump())


@router.post("/update-timezone", access=SignedIn())
async def change_timezone(
    change: settings_schemas.TimezoneChange, session: Session, actor: CurrentActor
) -> SettingsRead:
    """Choose the time zone that times are shown in."""
    return await _change(session, actor, change.model_dump())


@router.post("/deactivate-account", access=SignedIn(), status_code=204, problems=(LastSuperuser,))
async def deactivate_my_account(session: Session, actor: CurrentActor) -> None:
    """Deactivate your account; every session ends. An administrator can bring it back."""
    assert actor.user_id
    await service.end_own_account(session, actor.user_id, UserStatus.DEACTIVATED)


@router.post(
    "/delete-account",
    access=SteppedUp(),
    status_code=204,
    problems=(ConfirmationNeeded, LastSuperuser, StillOwner, StepUpRequired),
)
async def delete_my_account(
    session: Session,
    actor: CurrentActor,
    identity: IdentityParts,
    confirm: Annotated[bool, Query(description="Must be true.")] = False,
) -> None:
    """Delete your account at once, shortly after signing in.

    What is left of it is erased after a grace period.
    """
    assert actor.user_id
    if not confirm:
        raise ConfirmationNeeded(identity.settings.erasure_grace.days)
    await service.end_own_account(session, actor.user_id, UserStatus.DELETED)


@router.get("/export", access=SignedIn(), response_model=settings_schemas.Export)
async def export_my_data(
    session: Session, actor: CurrentActor, identity: IdentityParts
) -> JSONResponse:
    """Everything kept about you, as a JSON file."""
    assert actor.user_id
    data = await export_user(session, actor.user_id, identity.personal)
    content = jsonable_encoder({"exported_at": utc_now(), **data})
    headers = {
        "Content-Disposition": 'attachment; filename="account.json"',
        "Cache-Control": "no-store",
    }
    return JSONResponse(content, headers=headers)
