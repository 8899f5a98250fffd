"""From `UNDERCROFT_APPS` to descriptors: by the name of an entry point, or by import path."""

import importlib
import traceback
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from undercroft.foundation.apps.descriptor import App
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings
from undercroft.foundation.settings.unread import Unread, given_names, unread_names

GROUP = "undercroft.apps"
ATTRIBUTE = "APP"
# Schemas that are ours, our users' or Postgres'.
RESERVED = frozenset(
    {
        "auth",
        "data",
        "extensions",
        "information_schema",
        "notifications",
        "operations",
        "outbound",
        "public",
        "realtime",
        "storage",
        "undercroft",
        "webhooks",
        # Groups of its settings, whose names in the environment an app would share.
        *Settings.model_fields,
    }
)
# What `undercroft` understands itself: an app of that name could not have commands.
COMMANDS = frozenset(
    {
        "activity",
        "advise",
        "app",
        "bench",
        "db",
        "doctor",
        "export",
        "groups",
        "import",
        "jobs",
        "keys",
        "outbox",
        "rest",
        "routes",
        "serve",
        "settings",
        "sql",
        "storage",
        "types",
        "users",
        "webhooks",
        "worker",
    }
)


def installed_apps() -> Mapping[str, EntryPoint]:
    """Every app that an installed package offers, switched on or not."""
    return {point.name: point for point in entry_points(group=GROUP)}


def find_apps(settings: Settings) -> tuple[App, ...]:
    """The apps that are switched on, in their order.

    Raises `SettingsInvalid` for one that is not there, is there twice, or misses one it requires.
    """
    if not settings.apps:
        return ()
    apps = tuple(load_app(line) for line in settings.apps)
    _check_together(apps)
    return apps


def unread_settings(settings: Settings) -> list[Unread]:
    """What is given and read neither by the platform nor by its apps. Raises as `find_apps`."""
    groups = {app.name: app.settings for app in find_apps(settings)}
    return unread_names(given_names(), groups)


def load_app(line: str) -> App:
    """`catalog`, `shop.app` or `shop.app:APP`.

    Raises `SettingsInvalid`, also for whatever goes wrong in the app's own code.
    """
    if ":" not in line and "." not in line:
        line = _installed_as(line)
    module, _, attribute = line.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute or ATTRIBUTE)
    except Exception as error:
        told = _told(error, module)
        raise SettingsInvalid(f"UNDERCROFT_APPS: '{line}' cannot be loaded: {told}.") from error
    if not isinstance(found, App):
        raise SettingsInvalid(f"UNDERCROFT_APPS: '{line}' is not an App.")
    return found


def _installed_as(name: str) -> str:
    """Where the one package that offers it says it is."""
    points = entry_points(group=GROUP, name=name)
    places = sorted({point.value for point in points})
    if not places:
        known = ", ".join(sorted(installed_apps())) or "none"
        raise SettingsInvalid(f"UNDERCROFT_APPS: there is no app '{name}'. Installed: {known}.")
    if len(places) > 1:
        raise SettingsInvalid(
            f"UNDERCROFT_APPS: several packages offer an app '{name}'."
            f" Say which: {' or '.join(places)}."
        )
    return places[0]


def _told(error: Exception, module: str) -> str:
    """What went wrong and, in the app's own code, where."""
    package = module.partition(".")[0]
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if package in Path(frame.filename).parts or Path(frame.filename).stem == package
    ]
    kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{kind}{error}{where}"


def _check_together(apps: Sequence[App]) -> None:
    seen: set[str] = set()
    for app in apps:
        if app.name in RESERVED:
            raise SettingsInvalid(f"UNDERCROFT_APPS: '{app.name}' is a name of the platform's own.")
        if app.name in COMMANDS and app.commands:
            raise SettingsInvalid(
                f"UNDERCROFT_APPS: '{app.name}' has commands, and is a command of the platform."
            )
        if app.name in seen:
            raise SettingsInvalid(f"UNDERCROFT_APPS: two apps are called '{app.name}'.")
        if missing := _missing(app.requires, seen):
            raise SettingsInvalid(
                f"UNDERCROFT_APPS: '{app.name}' needs '{missing}' before it in the list."
            )
        seen.add(app.name)


def _missing(required: Iterable[str], seen: set[str]) -> str | None:
    return next((name for name in required if name not in seen), None)
