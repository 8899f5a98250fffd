"""The verbs on feature flags."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.jobs import publish
from undercroft.identity.features import queries
from undercroft.identity.features.errors import FeatureTaken, UnknownGrantees
from undercroft.identity.features.events import FeatureChanged, OrganizationFeaturesChanged
from undercroft.identity.features.models import (
    Feature,
    FeatureGroup,
    FeatureOrganization,
    FeatureUser,
)
from undercroft.identity.features.schemas import FeatureGrants
from undercroft.identity.organizations.models import Organization
from undercroft.identity.users.models import User


async def create_feature(
    session: AsyncSession, values: Mapping[str, Any], *, actor: Actor
) -> Feature:
    feature = Feature(**values)
    session.add(feature)
    await _flush(session)
    return await _changed(session, feature, "created", actor)


async def update_feature(
    session: AsyncSession, feature: Feature, changes: Mapping[str, Any], *, actor: Actor
) -> Feature:
    for name, value in changes.items():
        setattr(feature, name, value)
    await _flush(session)
    return await _changed(session, feature, "updated", actor)


async def delete_feature(session: AsyncSession, feature: Feature, *, actor: Actor) -> None:
    await session.delete(feature)
    await session.flush()
    publish(session, FeatureChanged(feature.id, feature.name, "deleted", by=actor.user_id))


async def replace_grants(
    session: AsyncSession, feature: Feature, grants: FeatureGrants, *, actor: Actor
) -> Feature:
    """Make `grants` all that the (locked) feature is on for."""
    groups = await queries.group_ids(session, grants.groups)
    if unknown := set(grants.groups) - set(groups):
        raise UnknownGrantees("groups", unknown)
    await _check_exist(session, "organizations", Organization.id, grants.organizations)
    await _check_exist(session, "users", User.id, grants.users)
    await _replace(session, FeatureOrganization.organization_id, feature.id, grants.organizations)
    await _replace(session, FeatureGroup.group_id, feature.id, groups.values())
    await _replace(session, FeatureUser.user_id, feature.id, grants.users)
    feature.percentage = grants.percentage
    feature.starts_at = grants.starts_at
    feature.ends_at = grants.ends_at
    await session.flush()
    return await _changed(session, feature, "granted", actor)


async def replace_organization_features(
    session: AsyncSession, organization_id: UUID, names: Collection[str], *, actor: Actor
) -> list[str]:
    """Make `names` all that is granted to the (locked) organization; return them sorted."""
    wanted = await queries.ids_by_name(session, names)
    before = set(await queries.features_of_organization(session, organization_id))
    await session.execute(
        delete(FeatureOrganization).where(FeatureOrganization.organization_id == organization_id)
    )
    if wanted:
        rows = [
            {"feature_id": feature_id, "organization_id": organization_id}
            for feature_id in wanted.values()
        ]
        await session.execute(insert(FeatureOrganization).values(rows).on_conflict_do_nothing())
    added, removed = sorted(set(wanted) - before), sorted(before - set(wanted))
    publish(
        session,
        OrganizationFeaturesChanged(
            organization_id, tuple(added), tuple(removed), by=actor.user_id
        ),
    )
    return sorted(wanted)


async def _replace(
    session: AsyncSession, column: Any, feature_id: UUID, ids: Collection[UUID]
) -> None:
    table = column.class_
    await session.execute(delete(table).where(table.feature_id == feature_id))
    rows = [{"feature_id": feature_id, column.key: one} for one in set(ids)]
    if rows:
        await session.execute(insert(table).values(rows).on_conflict_do_nothing())


async def _check_exist(
    session: AsyncSession, kind: str, column: Any, ids: Collection[UUID]
) -> None:
    """Held until commit, so that none is deleted between the check and the grant."""
    statement = select(column).where(column.in_(ids)).with_for_update(read=True, key_share=True)
    if unknown := set(ids) - set(await session.scalars(statement)):
        raise UnknownGrantees(kind, unknown)


async def _changed(session: AsyncSession, feature: Feature, change: str, actor: Actor) -> Feature:
    await session.refresh(feature)
    publish(session, FeatureChanged(feature.id, feature.name, change, by=actor.user_id))
    return feature


async def _flush(session: AsyncSession) -> None:
    try:
        await session.flush()
    except IntegrityError as error:
        raise FeatureTaken from error
