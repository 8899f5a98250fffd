"""Doors to API keys: your own, or any for who may revoke them."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft.foundation.http import CurrentActor, Session
from undercroft.foundation.problems import MissingPermission
from undercroft.identity.access.api_keys import service
from undercroft.identity.access.models import ApiKey

DELETE = "api_keys:delete"


async def _key_to_revoke(key_id: UUID, session: Session, actor: CurrentActor) -> ApiKey:
    key = await service.get_api_key(session, key_id, actor=actor)
    own = key.created_by is not None and key.created_by == actor.user_id
    if not own and not actor.has(DELETE):
        raise MissingPermission(DELETE)
    return key


ApiKeyToRevoke = Annotated[ApiKey, Depends(_key_to_revoke)]
