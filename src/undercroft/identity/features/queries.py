"""Every SELECT about feature flags."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.db import PageRequest, Sorts, containing, paginate
from undercroft.identity.access.models import Group
from undercroft.identity.features.errors import FeatureNotFound, UnknownFeatures
from undercroft.identity.features.models import (
    Feature,
    FeatureOrganization,
)

ON_FOR = text("SELECT auth.features_of(:user_id, :key_id)")
GRANTEES = text("""
    SELECT ARRAY(SELECT organization_id FROM auth.feature_organizations
                  WHERE feature_id = :id ORDER BY 1) AS organizations,
           ARRAY(SELECT g.codename::text FROM auth.feature_groups f
                   JOIN auth.groups g ON g.id = f.group_id
                  WHERE f.feature_id = :id ORDER BY 1) AS groups,
           ARRAY(SELECT user_id FROM auth.feature_users
                  WHERE feature_id = :id ORDER BY 1) AS users
""")


@dataclass(frozen=True, slots=True)
class Grantees:
    organizations: list[UUID]
    groups: list[str]
    users: list[UUID]


async def list_features(
    session: AsyncSession, page: PageRequest, *, search: str | None
) -> tuple[list[Feature], str | None, int | None]:
    """By name. `search` is a part of it."""
    statement = select(Feature)
    if search:
        statement = statement.where(containing(search, Feature.name))
    keys = (Feature.name,)
    sorts: Sorts = {"name": Feature.name, "created_at": Feature.created_at}
    return await paginate(session, statement, page, keys=keys, descending=False, sorts=sorts)


async def get_feature(session: AsyncSession, feature_id: UUID, *, lock: bool = False) -> Feature:
    found = await session.get(Feature, feature_id, with_for_update=lock or None)
    if found is None:
        raise FeatureNotFound
    return found


async def get_grantees(session: AsyncSession, feature_id: UUID) -> Grantees:
    row = (await session.execute(GRANTEES, {"id": feature_id})).one()
    return Grantees(row.organizations, row.groups, row.users)


async def features_of(session: AsyncSession, actor: Actor) -> list[str]:
    """Names of the features that are on for the caller, decided in SQL in this one query."""
    caller = {"user_id": actor.user_id, "key_id": actor.api_key_id}
    return list(await session.scalars(ON_FOR, caller))


async def features_of_organization(session: AsyncSession, organization_id: UUID) -> list[str]:
    """What is granted to an organization, switched on or not."""
    statement = (
        select(Feature.name)
        .join(FeatureOrganization, FeatureOrganization.feature_id == Feature.id)
        .where(FeatureOrganization.organization_id == organization_id)
        .order_by(Feature.name)
    )
    return list(await session.scalars(statement))


async def ids_by_name(session: AsyncSession, names: Collection[str]) -> dict[str, UUID]:
    """Held until commit. Raises `UnknownFeatures` for names that none has."""
    statement = select(Feature.name, Feature.id).where(Feature.name.in_(names))
    statement = statement.order_by(Feature.id).with_for_update(read=True, key_share=True)
    found = {row.name: row.id for row in await session.execute(statement)}
    if unknown := set(names) - set(found):
        raise UnknownFeatures(unknown)
    return found


async def group_ids(session: AsyncSession, codenames: Collection[str]) -> dict[str, UUID]:
    """Held until commit."""
    statement = select(Group.codename, Group.id).where(Group.codename.in_(codenames))
    statement = statement.order_by(Group.id).with_for_update(read=True, key_share=True)
    return {row.codename: row.id for row in await session.execute(statement)}
