"""`/features`: flags, whom they are on for, and what is on for the caller."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from undercroft.foundation.access import Authenticated, Needs, Permission, Public
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import CurrentActor, Router, Session, searched_by, sorted_by
from undercroft.identity.auth.errors import InvalidToken
from undercroft.identity.features import queries, schemas, service
from undercroft.identity.features.errors import (
    FeatureNotFound,
    FeatureTaken,
    UnknownFeatures,
    UnknownGrantees,
)
from undercroft.identity.features.models import Feature
from undercroft.identity.organizations.access import OrganizationToRead
from undercroft.identity.organizations.errors import OrganizationNotFound, RoleTooLow
from undercroft.identity.organizations.models import Organization
from undercroft.identity.organizations.queries import get_organization

PERMISSIONS = (
    Permission("features:read", "See feature flags and whom they are on for."),
    Permission("features:create", "Add feature flags."),
    Permission("features:update", "Change feature flags and whom they are on for."),
    Permission("features:delete", "Delete feature flags."),
)

router = Router("/features", tag="identity")
organization_router = Router("/organizations", tag="identity")


async def _feature(feature_id: UUID, session: Session) -> Feature:
    return await queries.get_feature(session, feature_id)


async def _feature_to_change(feature_id: UUID, session: Session) -> Feature:
    return await queries.get_feature(session, feature_id, lock=True)


async def _organization(organization_id: UUID, session: Session) -> Organization:
    return await get_organization(session, organization_id, lock=True)


FeatureToRead = Annotated[Feature, Depends(_feature)]
FeatureToChange = Annotated[Feature, Depends(_feature_to_change)]
OrganizationToGrant = Annotated[Organization, Depends(_organization)]


# Before the routes with an id: `me` would not pass for one.
@router.get(
    "/me",
    access=Public("the flags of whoever calls", about_caller=True),
    problems=(InvalidToken,),
)
async def list_my_features(session: Session, actor: CurrentActor) -> Page[schemas.FeatureName]:
    """Names of the features that are on for you: signed in, with a key, or without either.

    With credentials that are not valid any more it answers 401, not the flags of nobody.
    """
    return Page[schemas.FeatureName].whole(await queries.features_of(session, actor))


@router.get("", access=Needs("features:read"))
async def list_features(
    session: Session,
    page: Annotated[PageRequest, sorted_by("name", "created_at")],
    search: Annotated[str | None, searched_by("Part of the name.")] = None,
) -> Page[schemas.FeatureRead]:
    """Every feature, by name."""
    found, cursor, total = await queries.list_features(session, page, search=search)
    items = [schemas.FeatureRead.model_validate(feature) for feature in found]
    return Page[schemas.FeatureRead](items=items, next_cursor=cursor, total=total)


@router.post("", access=Needs("features:create"), status_code=201, problems=(FeatureTaken,))
async def create_feature(
    new: schemas.FeatureCreate, session: Session, actor: CurrentActor
) -> schemas.FeatureDetail:
    """Add a feature; it is on for nobody yet."""
    feature = await service.create_feature(session, new.model_dump(), actor=actor)
    return await _detail(session, feature)


@router.get("/{feature_id}", access=Needs("features:read"), problems=(FeatureNotFound,))
async def get_feature(feature: FeatureToRead, session: Session) -> schemas.FeatureDetail:
    """One feature and whom it is on for."""
    return await _detail(session, feature)


@router.patch(
    "/{feature_id}", access=Needs("features:update"), problems=(FeatureNotFound, FeatureTaken)
)
async def update_feature(
    change: schemas.FeatureUpdate,
    feature: FeatureToChange,
    session: Session,
    actor: CurrentActor,
) -> schemas.FeatureDetail:
    """Rename a feature or switch it off and on for all it is granted to."""
    changes = change.model_dump(exclude_unset=True)
    changed = await service.update_feature(session, feature, changes, actor=actor)
    return await _detail(session, changed)


@router.delete(
    "/{feature_id}",
    access=Needs("features:delete"),
    status_code=204,
    problems=(FeatureNotFound,),
)
async def delete_feature(feature: FeatureToChange, session: Session, actor: CurrentActor) -> None:
    """Delete a feature. Code and policies that ask for it hear "off"."""
    await service.delete_feature(session, feature, actor=actor)


@router.put(
    "/{feature_id}/grants",
    access=Needs("features:update"),
    problems=(FeatureNotFound, UnknownGrantees),
)
async def replace_feature_grants(
    grants: schemas.FeatureGrants,
    feature: FeatureToChange,
    session: Session,
    actor: CurrentActor,
) -> schemas.FeatureDetail:
    """Replace whom a feature is on for, and when."""
    changed = await service.replace_grants(session, feature, grants, actor=actor)
    return await _detail(session, changed)


@organization_router.get(
    "/{organization_id}/features",
    access=Authenticated(),
    problems=(OrganizationNotFound, RoleTooLow),
)
async def list_organization_features(
    standing: OrganizationToRead, session: Session
) -> Page[schemas.FeatureName]:
    """Names of the features granted to an organization of yours."""
    names = await queries.features_of_organization(session, standing.organization.id)
    return Page[schemas.FeatureName].whole(names)


@organization_router.put(
    "/{organization_id}/features",
    access=Needs("features:update"),
    problems=(OrganizationNotFound, UnknownFeatures),
)
async def replace_organization_features(
    body: schemas.FeatureNames,
    organization: OrganizationToGrant,
    session: Session,
    actor: CurrentActor,
) -> Page[schemas.FeatureName]:
    """Replace the features granted to an organization."""
    names = await service.replace_organization_features(
        session, organization.id, set(body.features), actor=actor
    )
    return Page[schemas.FeatureName].whole(names)


async def _detail(session: Session, feature: Feature) -> schemas.FeatureDetail:
    grantees = await queries.get_grantees(session, feature.id)
    return schemas.FeatureDetail(
        **schemas.FeatureRead.model_validate(feature).model_dump(),
        organizations=grantees.organizations,
        groups=grantees.groups,
        users=grantees.users,
    )
