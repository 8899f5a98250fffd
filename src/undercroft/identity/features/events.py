"""Facts about feature flags."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class FeatureChanged:
    """`change` is created, updated, granted or deleted."""

    feature_id: UUID
    name: str
    change: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class OrganizationFeaturesChanged:
    organization_id: UUID
    added: tuple[str, ...]
    removed: tuple[str, ...]
    by: UUID | None
