"""The public surface: what apps import, as `from undercroft import App, Router, …`.

A name here keeps its meaning from one version to the next. Everything else in this package may
change with any version; docs/guides/apps.md says what each is for.
"""

from undercroft.foundation.access import (
    AccessRule,
    Actor,
    Authenticated,
    Needs,
    Permission,
    Public,
    SignedIn,
    SteppedUp,
)
from undercroft.foundation.apps import App, AppSettings, settings_of
from undercroft.foundation.apps.commands import AppContext, run_in_app
from undercroft.foundation.cache import Cache, CachedReads
from undercroft.foundation.clock import utc_now
from undercroft.foundation.db import (
    Base,
    Id,
    Page,
    PageRequest,
    Timestamps,
    UtcDateTime,
    notify,
    paginate,
)
from undercroft.foundation.fields import Moment, json_within
from undercroft.foundation.http import (
    CurrentActor,
    PageQuery,
    Parts,
    Router,
    Session,
    searched_by,
    sorted_by,
)
from undercroft.foundation.http.dependencies import Reads
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import (
    GiveUp,
    JobContext,
    enqueue,
    job,
    publish,
    schedule,
    subscribes,
)
from undercroft.foundation.personal import PersonalData
from undercroft.foundation.problems import (
    Conflict,
    Forbidden,
    Invalid,
    MissingPermission,
    NotFound,
    Problem,
    SettingsInvalid,
    TooManyRequests,
    Unavailable,
    UnsupportedMediaType,
)
from undercroft.foundation.settings.group import SettingsGroup
from undercroft.identity.organizations.access import (
    LoadOrganization,
    OrganizationToChange,
    OrganizationToOwn,
    OrganizationToRead,
    OrganizationToRun,
    OrganizationToSee,
    Standing,
)
from undercroft.identity.organizations.errors import (
    MemberNotFound,
    OrganizationInactive,
    OrganizationNotFound,
    RoleTooLow,
)
from undercroft.identity.organizations.events import (
    MemberJoined,
    MemberLeft,
    OrganizationCreated,
    OrganizationDeleted,
    OrganizationUpdated,
)
from undercroft.identity.organizations.models import Membership, Organization, OrganizationRole
from undercroft.identity.organizations.queries import find_role
from undercroft.identity.organizations.service import update_organization
from undercroft.identity.users.events import UserErased, UserStatusChanged, UserUpdated
from undercroft.storage import Files, FilesParts, SystemBucket
from undercroft.storage import Staged as StagedFile
from undercroft.storage.errors import (
    FileNotFound,
    FileTooLarge,
    FileTypeRefused,
    QuotaExceeded,
)

__all__ = [
    "AccessRule",
    "Actor",
    "App",
    "AppContext",
    "AppSettings",
    "Authenticated",
    "Base",
    "Cache",
    "CachedReads",
    "Conflict",
    "CurrentActor",
    "FileNotFound",
    "FileTooLarge",
    "FileTypeRefused",
    "Files",
    "FilesParts",
    "Forbidden",
    "GiveUp",
    "Id",
    "Invalid",
    "JobContext",
    "LoadOrganization",
    "MemberJoined",
    "MemberLeft",
    "MemberNotFound",
    "Membership",
    "MissingPermission",
    "Moment",
    "Needs",
    "NotFound",
    "Organization",
    "OrganizationCreated",
    "OrganizationDeleted",
    "OrganizationInactive",
    "OrganizationNotFound",
    "OrganizationRole",
    "OrganizationToChange",
    "OrganizationToOwn",
    "OrganizationToRead",
    "OrganizationToRun",
    "OrganizationToSee",
    "OrganizationUpdated",
    "Page",
    "PageQuery",
    "PageRequest",
    "Parts",
    "Permission",
    "PersonalData",
    "Problem",
    "Public",
    "QuotaExceeded",
    "Reads",
    "RoleTooLow",
    "Router",
    "Session",
    "SettingsGroup",
    "SettingsInvalid",
    "SignedIn",
    "StagedFile",
    "Standing",
    "SteppedUp",
    "SystemBucket",
    "Timestamps",
    "TooManyRequests",
    "Unavailable",
    "UnsupportedMediaType",
    "UserErased",
    "UserStatusChanged",
    "UserUpdated",
    "UtcDateTime",
    "enqueue",
    "find_role",
    "job",
    "json_within",
    "new_id",
    "notify",
    "paginate",
    "publish",
    "run_in_app",
    "schedule",
    "searched_by",
    "settings_of",
    "sorted_by",
    "subscribes",
    "update_organization",
    "utc_now",
]
