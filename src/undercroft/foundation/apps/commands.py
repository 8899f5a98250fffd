"""What an app's commands work with: the database, the cache and the settings that `serve` uses."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor, Role
from undercroft.foundation.apps.discovery import find_apps
from undercroft.foundation.apps.settings import AppSettings
from undercroft.foundation.cache import CachedReads
from undercroft.foundation.embedded import open_engines
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings, load_settings

Result = TypeVar("Result")

# Whoever can run a command on the server reads the database anyway.
OPERATOR = Actor(role=Role.SERVICE, is_superuser=True)


@dataclass(frozen=True, slots=True)
class AppContext:
    """One transaction of a command, committed when the work returns."""

    session: AsyncSession
    settings: Settings
    app_settings: AppSettings
    cached_reads: CachedReads
    actor: Actor = OPERATOR


def run_in_app(
    name: str,
    work: Callable[[AppContext], Awaitable[Result]],
    *,
    home: Path | None = None,
    command: str = "",
) -> Result:
    """Run `work` over the engines that run, or are started for it, and return what it returns.

    Raises `SettingsInvalid` unless the app `name` is switched on and its schema is there.
    """
    loaded = load_settings(home=home) if home else load_settings()
    with open_engines(loaded, command=command or name) as settings:
        _require(name, settings)
        return asyncio.run(_run(settings, work))


def _require(name: str, settings: Settings) -> None:
    from undercroft.foundation.db.migrate import current, history  # noqa: PLC0415 - brings Alembic

    app = next((app for app in find_apps(settings) if app.name == name), None)
    if app is None:
        raise SettingsInvalid(f"The app '{name}' is not switched on: set UNDERCROFT_APPS={name}.")
    if app.migrations and current(settings, app=app) != history(app)[-1][0]:
        raise SettingsInvalid(f"The app '{name}' has no tables yet: run `undercroft db upgrade`.")


async def _run(settings: Settings, work: Callable[[AppContext], Awaitable[Result]]) -> Result:
    # By name: the composition root is above whatever an app may import, and events that a
    # command publishes must reach every listener that it has collected.
    open_parts = importlib.import_module("undercroft.app").open_parts
    async with open_parts(settings) as (parts, _), parts.database.unit_of_work() as session:
        app_settings = AppSettings(find_apps(settings))
        return await work(AppContext(session, settings, app_settings, parts.cached_reads))
