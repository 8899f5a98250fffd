"""The commands that apps bring, found when they are asked for; and `undercroft app`."""

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from undercroft.foundation.apps import App


class RootGroup(TyperGroup):
    """Ours, then those of apps: `--help` shows the apps that are switched on.

    A word we do not know may belong to an app that is installed but switched off: its command says
    so, which is more use than "No such command".
    """

    def list_commands(self, ctx: Any) -> list[str]:
        found = super().list_commands(ctx)
        if "UNDERCROFT_APPS" in os.environ or _mentions_apps(Path(".env")):
            found = [*found, *(app.name for app in _switched_on() if app.commands)]
        return found

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or _command_of_app(cmd_name)


def _command_of_app(name: str) -> Any:
    from undercroft.foundation.apps import installed_apps, load_app

    app = next((app for app in _switched_on() if app.name == name), None)
    if app is None and name in installed_apps():
        app = load_app(name)
    if app is None or app.commands is None:
        return None
    module, _, attribute = app.commands.partition(":")
    command = typer.main.get_command(getattr(import_module(module), attribute or "app"))
    command.name = app.name
    return command


def _switched_on() -> "tuple[App, ...]":
    from undercroft.foundation.apps import find_apps
    from undercroft.foundation.settings import load_settings

    return find_apps(load_settings())


def _mentions_apps(file: Path) -> bool:
    try:
        return "UNDERCROFT_APPS" in file.read_text()
    except OSError:
        return False
