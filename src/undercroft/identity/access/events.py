"""Facts about rights, for the audit log above all."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class PermissionChanged:
    """`change` is created, updated or deleted."""

    codename: str
    change: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class GroupChanged:
    """`change` is created, updated or deleted."""

    group_id: UUID
    codename: str
    change: str
    by: UUID | None


@dataclass(frozen=True, slots=True)
class GroupPermissionsChanged:
    group_id: UUID
    codename: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    by: UUID | None


@dataclass(frozen=True, slots=True)
class UserGroupsChanged:
    user_id: UUID
    added: tuple[str, ...]
    removed: tuple[str, ...]
    by: UUID | None


@dataclass(frozen=True, slots=True)
class ApiKeyCreated:
    key_id: UUID
    name: str
    permissions: tuple[str, ...]
    by: UUID | None


@dataclass(frozen=True, slots=True)
class ApiKeyRevoked:
    key_id: UUID
    name: str
    by: UUID | None
