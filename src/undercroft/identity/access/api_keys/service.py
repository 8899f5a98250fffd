"""Make, find and revoke the keys that users give their programs."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor, Role, UsersOnly
from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import new_secret, sha256
from undercroft.foundation.db import PageRequest, Sorts, containing, paginate
from undercroft.foundation.jobs import publish
from undercroft.identity.access.errors import (
    ApiKeyNotFound,
    ApiKeyOrganizationUnknown,
    CannotGrant,
    ExpiryInThePast,
)
from undercroft.identity.access.events import ApiKeyCreated, ApiKeyRevoked
from undercroft.identity.access.models import ApiKey, ApiKeyPermission
from undercroft.identity.auth.gate import API_KEY_PREFIX, announce_api_key
from undercroft.identity.organizations.models import Membership

SHOWN = len(API_KEY_PREFIX) + 6
SEES_ALL = "api_keys:read"


async def create_api_key(
    session: AsyncSession,
    name: str,
    permissions: Collection[str],
    *,
    organization_id: UUID | None,
    expires_at: datetime | None,
    actor: Actor,
) -> tuple[ApiKey, str]:
    """Return the key's row and the key, which is stored as its hash only.

    Raises `StepUpRequired` unless the person showed lately who they are: a key outlives the session
    that it is made with, and must not be what a thief of one leaves with.
    """
    if actor.user_id is None:
        raise UsersOnly
    actor.require_fresh()
    if lacking := [name for name in permissions if not actor.has(name)]:
        raise CannotGrant(lacking)
    if expires_at and expires_at <= utc_now():
        raise ExpiryInThePast
    await _check_member(session, organization_id, actor.user_id)
    token = API_KEY_PREFIX + new_secret()
    key = ApiKey(
        name=name,
        role=Role.AUTHENTICATED.value,
        token_hash=sha256(token),
        prefix=token[:SHOWN],
        created_by=actor.user_id,
        organization_id=organization_id,
        expires_at=expires_at,
    )
    session.add(key)
    await session.flush()
    if permissions:
        rows = [{"api_key_id": key.id, "permission": name} for name in permissions]
        await session.execute(insert(ApiKeyPermission).values(rows))
    await session.refresh(key)
    publish(session, ApiKeyCreated(key.id, name, tuple(sorted(permissions)), by=actor.user_id))
    return key, token


async def revoke_api_key(session: AsyncSession, key: ApiKey, *, actor: Actor) -> None:
    """The key stops working everywhere at its next use."""
    key.revoked_at = utc_now()
    await session.flush()
    await announce_api_key(session, key.id)
    publish(session, ApiKeyRevoked(key.id, key.name, by=actor.user_id))


async def list_api_keys(
    session: AsyncSession, page: PageRequest, *, search: str | None, actor: Actor
) -> tuple[list[ApiKey], str | None, int | None]:
    """Newest first: the caller's own, and everybody's for who may read them.

    `search` is a part of the name or the start that is shown of the key.
    """
    statement = select(ApiKey).where(*_live(), _visible(actor))
    if search:
        statement = statement.where(containing(search, ApiKey.name, ApiKey.prefix))
    keys = (ApiKey.created_at, ApiKey.id)
    sorts: Sorts = {"created_at": ApiKey.created_at, "name": ApiKey.name}
    return await paginate(session, statement, page, keys=keys, sorts=sorts)


async def get_api_key(session: AsyncSession, key_id: UUID, *, actor: Actor) -> ApiKey:
    """Raise `ApiKeyNotFound` for one that is over, unknown or not the caller's to see."""
    statement = select(ApiKey).where(ApiKey.id == key_id, *_live(), _visible(actor))
    key: ApiKey | None = await session.scalar(statement.with_for_update())
    if key is None:
        raise ApiKeyNotFound
    return key


async def permissions_by_key(
    session: AsyncSession, key_ids: Collection[UUID]
) -> dict[UUID, list[str]]:
    statement = (
        select(ApiKeyPermission.api_key_id, ApiKeyPermission.permission)
        .where(ApiKeyPermission.api_key_id.in_(key_ids))
        .order_by(ApiKeyPermission.permission)
    )
    found: dict[UUID, list[str]] = {}
    for key_id, permission in await session.execute(statement):
        found.setdefault(key_id, []).append(permission)
    return found


def _live() -> tuple[ColumnElement[bool], ...]:
    unexpired = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    return (ApiKey.token_hash.is_not(None), ApiKey.revoked_at.is_(None), unexpired)


def _visible(actor: Actor) -> ColumnElement[bool]:
    if actor.has(SEES_ALL):
        return ApiKey.id.is_not(None)
    return ApiKey.created_by == actor.user_id


async def _check_member(session: AsyncSession, organization_id: UUID | None, user_id: UUID) -> None:
    if organization_id is None:
        return
    if await session.get(Membership, (organization_id, user_id)) is None:
        raise ApiKeyOrganizationUnknown
