"""The names that platform events have for the outside. A name is a promise and never changes.

What an event's class calls its fields is what receivers find in `data`; a field that looks like a
secret fails here, at import.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

from undercroft.foundation.jobs.payload import payload_of_event
from undercroft.identity.access import events as access
from undercroft.identity.auth import events as auth
from undercroft.identity.features import events as features
from undercroft.identity.organizations import events as organizations
from undercroft.identity.users import events as users
from undercroft.storage import events as storage
from undercroft.storage.media import events as media
from undercroft.storage.names import SYSTEM_PREFIX
from undercroft.webhooks import events as own

PING = "webhook.ping"
# One class for several facts: this field says which.
BY_STATUS: Mapping[str, str] = {
    "active": "user.activated",
    "suspended": "user.suspended",
    "deactivated": "user.deactivated",
    "deleted": "user.deleted",
}

NAMES: Mapping[type, str] = {
    users.UserCreated: "user.created",
    users.RegistrationRepeated: "user.registration_repeated",
    users.UserUpdated: "user.updated",
    users.UserErased: "user.erased",
    access.UserGroupsChanged: "user.groups_changed",
    auth.SessionStarted: "session.started",
    auth.SessionEnded: "session.ended",
    organizations.OrganizationCreated: "organization.created",
    organizations.OrganizationUpdated: "organization.updated",
    organizations.OrganizationDeleted: "organization.deleted",
    organizations.MemberInvited: "organization.member_invited",
    organizations.MemberJoined: "organization.member_added",
    organizations.MemberRoleChanged: "organization.member_role_changed",
    organizations.MemberLeft: "organization.member_removed",
    features.OrganizationFeaturesChanged: "organization.features_changed",
    features.FeatureChanged: "feature.changed",
    access.PermissionChanged: "permission.changed",
    access.GroupChanged: "group.changed",
    access.GroupPermissionsChanged: "group.permissions_changed",
    access.ApiKeyCreated: "api_key.created",
    access.ApiKeyRevoked: "api_key.revoked",
    storage.ObjectUploaded: "object.uploaded",
    storage.ObjectMoved: "object.moved",
    storage.ObjectRemoved: "object.removed",
    media.MediaUploaded: "media.uploaded",
    media.MediaDeleted: "media.deleted",
    own.WebhookDisabled: "webhook.disabled",
}


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event as the outside gets it, with all its fields as `data`."""

    type: str
    organization_id: UUID | None
    event: Any


def patterns_of(name: str) -> list[str]:
    """What a webhook may have asked for to get events of this name."""
    return [name, f"{name.partition('.')[0]}.*", "*"]


class Catalogue:
    """Which facts the outside may hear of: the platform's, and those of apps (`App.webhooks`)."""

    def __init__(self, of_apps: Mapping[type, str] | None = None) -> None:
        self._names = {**NAMES, **(of_apps or {})}
        for event in (*self._names, users.UserStatusChanged):
            payload_of_event("webhooks", event)
        # `webhook.ping` comes to whoever is pinged, changes of tables to who asks for the table.
        self.types = frozenset(self._names.values()) | frozenset(BY_STATUS.values()) | {PING}
        self.kinds = frozenset(f"{name.partition('.')[0]}.*" for name in self.types) | {"*"}

    def announcement_of(self, event: Any) -> Announcement | None:
        """None for what is nobody's business outside."""
        name = self._name_of(event)
        if name is None:
            return None
        organization_id = getattr(event, "organization_id", None)
        return Announcement(name, organization_id, event)

    def fields_of(self, name: str) -> list[str]:
        """The members of `data` in events of this name."""
        if name in BY_STATUS.values():
            return [field.name for field in fields(users.UserStatusChanged)]
        kind: Any = next((kind for kind, known in self._names.items() if known == name), None)
        return [field.name for field in fields(kind)] if kind else []

    def _name_of(self, event: Any) -> str | None:
        # Files that a wing keeps for itself; it has facts of its own to tell.
        if str(getattr(event, "bucket", "")).startswith(SYSTEM_PREFIX):
            return None
        if isinstance(event, users.UserStatusChanged):
            return BY_STATUS.get(event.status)
        return self._names.get(type(event))
