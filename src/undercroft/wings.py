"""Every wing of the platform, and what they and the apps add up to."""

from collections.abc import Sequence

from undercroft.data.wing import WING as DATA
from undercroft.foundation.access import Permission
from undercroft.foundation.apps import App
from undercroft.foundation.http import Router
from undercroft.foundation.jobs import JobRegistry, Listener
from undercroft.foundation.personal import PersonalData
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.wing import Wing
from undercroft.identity.wing import WING as IDENTITY
from undercroft.notifications.wing import WING as NOTIFICATIONS
from undercroft.operations.wing import WING as OPERATIONS
from undercroft.realtime.wing import WING as REALTIME
from undercroft.storage.wing import WING as STORAGE
from undercroft.webhooks.catalogue import Catalogue
from undercroft.webhooks.listener import keeping
from undercroft.webhooks.wing import WING as WEBHOOKS

# As the layers lie: a later wing may refer to an earlier one.
WINGS: tuple[Wing, ...] = (
    NOTIFICATIONS,
    IDENTITY,
    DATA,
    STORAGE,
    REALTIME,
    WEBHOOKS,
    OPERATIONS,
)
CONTROL: tuple[Router, ...] = tuple(router for wing in WINGS for router in wing.routers)
ROOT: tuple[Router, ...] = tuple(router for wing in WINGS for router in wing.root_routers)
PERMISSIONS: tuple[Permission, ...] = tuple(
    permission for wing in WINGS for permission in wing.permissions
)
# What refers to accounts goes before the accounts.
PERSONAL: tuple[PersonalData, ...] = tuple(
    personal for wing in reversed(WINGS) for personal in wing.personal
)


def create_registry(apps: Sequence[App] = (), *, hears: Sequence[Listener] = ()) -> JobRegistry:
    """Every job, schedule and subscription of every wing and of these apps.

    `hears` are listeners that work with parts of this process.
    """
    parts: tuple[Wing | App, ...] = (*WINGS, *apps)
    listeners = (keeping(catalogue_of(apps)), *hears)
    return JobRegistry(
        jobs=tuple(job for part in parts for job in part.jobs),
        schedules=tuple(schedule for part in parts for schedule in part.schedules),
        subscriptions=(*(entry for part in parts for entry in part.subscriptions), *listeners),
    )


def catalogue_of(apps: Sequence[App]) -> Catalogue:
    """What webhooks can ask for: the platform's facts and these apps'."""
    return Catalogue({event: name for app in apps for event, name in app.webhooks.items()})


def personal_of(apps: Sequence[App]) -> tuple[PersonalData, ...]:
    """The platform's and these apps', whose rows go before what they refer to."""
    declared = (*(part for app in reversed(apps) for part in app.personal), *PERSONAL)
    names = [part.name for part in declared if part.name]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingsInvalid(f"UNDERCROFT_APPS: two tables of personal data are called '{twice}'.")
    return declared


def permissions_of(apps: Sequence[App]) -> tuple[Permission, ...]:
    """The platform's and these apps'."""
    declared = (*PERMISSIONS, *(permission for app in apps for permission in app.permissions))
    names = [permission.name for permission in declared]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingsInvalid(f"UNDERCROFT_APPS: the permission '{twice}' is declared twice.")
    return declared
