"""Doors to permissions and groups: load or 404. The route's rule has checked the caller."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft.foundation.http import Session
from undercroft.identity.access import queries
from undercroft.identity.access.models import Group, PermissionRecord


async def _permission(permission_id: UUID, session: Session) -> PermissionRecord:
    return await queries.get_permission(session, permission_id)


async def _permission_to_change(permission_id: UUID, session: Session) -> PermissionRecord:
    return await queries.get_permission(session, permission_id, lock=True)


async def _group(group_id: UUID, session: Session) -> Group:
    return await queries.get_group(session, group_id)


async def _group_to_change(group_id: UUID, session: Session) -> Group:
    return await queries.get_group(session, group_id, lock=True)


PermissionToRead = Annotated[PermissionRecord, Depends(_permission)]
PermissionToChange = Annotated[PermissionRecord, Depends(_permission_to_change)]
GroupToRead = Annotated[Group, Depends(_group)]
GroupToChange = Annotated[Group, Depends(_group_to_change)]
