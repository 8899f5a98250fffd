"""`undercroft settings`: what is set, and what could be."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from pydantic import BaseModel

    from undercroft.cli.reference import Setting
    from undercroft.foundation.settings import Settings

app = typer.Typer(help="Settings.", no_args_is_help=True)


@app.command("show")
def show(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Print every setting in force, secrets masked; a star marks what is not the default.

    Those of apps that are switched on, too. Names that look like settings and are read by nobody
    are told on standard error.
    """
    import json

    from undercroft.foundation.apps import unread_settings

    settings = settings_for(home)
    found = dict(_in_force(settings))
    for unread in unread_settings(settings):
        print(unread, file=sys.stderr)
    if as_json:
        print(json.dumps({setting.path: value for setting, value in found.items()}, indent=2))
        return
    for setting, value in found.items():
        mark = " " if value == setting.default else "*"
        print(f"{mark} {setting.path:<42} {'' if value is None else value}")


@app.command("reference")
def reference(
    write: Annotated[
        bool, typer.Option("--write", help="Update .env.example and docs/reference.")
    ] = False,
) -> None:
    """Describe every setting, those of apps that are switched on, too."""
    from undercroft.cli.reference import pages, settings_page
    from undercroft.foundation.apps import find_apps

    if not write:
        print(settings_page(find_apps(settings_for())), end="")
        return
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"Wrote {path}")


def _in_force(settings: "Settings") -> "Iterator[tuple[Setting, str | None]]":
    from undercroft.cli.reference import every_setting, settings_of_apps
    from undercroft.foundation.apps import AppSettings, find_apps

    for setting in every_setting():
        yield setting, _value(settings, setting.path)
    apps = find_apps(settings)
    of_apps = AppSettings(apps)
    groups = {app.name: app.settings for app in apps}
    for setting in settings_of_apps(apps):
        app, _, path = setting.path.partition(".")
        group = groups[app]
        assert group
        yield setting, _value(of_apps.of(group), path)


def _value(settings: "BaseModel", path: str) -> str | None:
    from undercroft.cli.reference import as_text

    value: object = settings
    for part in path.split("."):
        value = getattr(value, part)
    return as_text(value)
