"""`/api-keys`: what users give their programs, with a part of their own rights."""

from typing import Annotated

from undercroft.foundation.access import (
    Authenticated,
    Needs,
    Permission,
    StepUpRequired,
    UsersOnly,
)
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import CurrentActor, Router, Session, searched_by, sorted_by
from undercroft.identity.access import queries
from undercroft.identity.access.api_keys import service
from undercroft.identity.access.api_keys.access import ApiKeyToRevoke
from undercroft.identity.access.api_keys.schemas import ApiKeyCreate, ApiKeyCreated, ApiKeyRead
from undercroft.identity.access.errors import (
    ApiKeyNotFound,
    ApiKeyOrganizationUnknown,
    CannotGrant,
    ExpiryInThePast,
    UnknownPermissions,
)

PERMISSIONS = (
    Permission("api_keys:read", "See everybody's API keys, never the secret."),
    Permission("api_keys:create", "Make API keys with rights of one's own."),
    Permission("api_keys:delete", "Revoke anybody's API keys."),
)

router = Router("/api-keys", tag="identity")


@router.get("", access=Authenticated())
async def list_api_keys(
    session: Session,
    page: Annotated[PageRequest, sorted_by("created_at", "name")],
    actor: CurrentActor,
    search: Annotated[str | None, searched_by("Part of the name or of the key's start.")] = None,
) -> Page[ApiKeyRead]:
    """Your live API keys, newest first; everybody's with `api_keys:read`."""
    keys, cursor, total = await service.list_api_keys(session, page, search=search, actor=actor)
    held = await service.permissions_by_key(session, [key.id for key in keys])
    items = [
        ApiKeyRead.model_validate(key).model_copy(update={"permissions": held.get(key.id, [])})
        for key in keys
    ]
    return Page[ApiKeyRead](items=items, next_cursor=cursor, total=total)


@router.post(
    "",
    access=Needs("api_keys:create"),
    status_code=201,
    problems=(
        UnknownPermissions,
        CannotGrant,
        UsersOnly,
        StepUpRequired,
        ExpiryInThePast,
        ApiKeyOrganizationUnknown,
    ),
)
async def create_api_key(new: ApiKeyCreate, session: Session, actor: CurrentActor) -> ApiKeyCreated:
    """Make a key for a program. It is shown once; send it as `apikey` or as a bearer token.

    It takes a recent sign-in. The key may do what you allow here and hold yourself, at every
    moment of its life.
    """
    permissions = sorted(await queries.resolve_permissions(session, new.permissions))
    key, token = await service.create_api_key(
        session,
        new.name,
        permissions,
        organization_id=new.organization_id,
        expires_at=new.expires_at,
        actor=actor,
    )
    read = ApiKeyRead.model_validate(key).model_dump() | {"permissions": permissions}
    return ApiKeyCreated(**read, key=token)


@router.delete("/{key_id}", access=Authenticated(), status_code=204, problems=(ApiKeyNotFound,))
async def revoke_api_key(key: ApiKeyToRevoke, session: Session, actor: CurrentActor) -> None:
    """Revoke a key of yours, or anybody's with `api_keys:delete`. It stops at once."""
    await service.revoke_api_key(session, key, actor=actor)
