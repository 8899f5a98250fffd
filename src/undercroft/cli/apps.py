"""The commands that apps bring, found when they are asked for; and `undercroft app`."""

import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from undercroft.cli.options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undercroft.foundation.apps import App


class RootGroup(TyperGroup):
    """Ours, then those of apps: `--help` shows the apps that are switched on.

    A word we do not know may belong to an app that is installed but switched off: its command says
    so, which is more use than "No such command".
    """

    def list_commands(self, ctx: Any) -> list[str]:
        from undercroft.foundation.problems import SettingsInvalid

        found = super().list_commands(ctx)
        if "UNDERCROFT_APPS" in os.environ or _mentions_apps(Path(".env")):
            # Help is most wanted when something is wrong; other commands say what it is.
            with suppress(SettingsInvalid):
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


app = typer.Typer(help="Apps: write one, see which there are.", no_args_is_help=True)

NameArgument = Annotated[
    str, typer.Argument(help="Lower-case letters, digits, underscores.", show_default=False)
]


@app.command("new")
def new(
    name: NameArgument,
    directory: Annotated[
        Path | None, typer.Option(help="Where to write it. Default: ./NAME.", show_default=False)
    ] = None,
) -> None:
    """Write an app that works: routes, a table, a migration, tests that pass."""
    if reason := _why_not(name):
        raise typer.BadParameter(f"'{name}' cannot be the name of an app: {reason}.")
    target = directory or Path(name)
    if target.exists() and any(target.iterdir()):
        raise typer.BadParameter(f"{target} is not empty.")
    written = _write(name, target)
    print("\n".join(str(path) for path in written))
    print(f"\nNext: cd {target} && pip install --editable '.[test]' && pytest")
    print(f"Then: UNDERCROFT_APPS={name} undercroft serve")


@app.command("revision")
def revision(
    app_name: Annotated[str, typer.Argument(metavar="APP", help="Name or import path.")],
    message: Annotated[str, typer.Argument(help="What changed, in a few words.")],
    home: HomeOption = None,
) -> None:
    """Write the migration that brings an app's tables to its models. Read it before you run it."""
    from undercroft.foundation.apps import load_app
    from undercroft.foundation.db import migrate
    from undercroft.foundation.embedded import open_engines

    with open_engines(settings_for(home), command="app revision") as settings:
        of = load_app(app_name)
        if of.migrations is None:
            raise typer.BadParameter(f"{of.name} has no folder for migrations.")
        print(f"Wrote {migrate.revise(settings, of, message)}")


@app.command("list")
def list_apps(as_json: JsonOption = False) -> None:
    """Every installed app, and whether it is switched on."""
    import json

    lines = sorted(_listed(), key=lambda line: str(line["name"]))
    if as_json:
        print(json.dumps(lines))
    for line in () if as_json else lines:
        print(f"{'on ' if line['on'] else 'off'} {line['name']:<16} {line['summary']}")


def _listed() -> "Iterator[dict[str, str | bool]]":
    """Of one that cannot be loaded its summary says why: the others are listed all the same."""
    from undercroft.foundation.apps import installed_apps, load_app
    from undercroft.foundation.problems import SettingsInvalid
    from undercroft.foundation.settings import load_settings

    on, seen = load_settings().apps, set()
    for line in (*on, *installed_apps()):
        try:
            app = load_app(line)
            name, summary = app.name, app.summary
        except SettingsInvalid as error:
            name, summary = line, str(error)
        if name not in seen:
            seen.add(name)
            yield {"name": name, "on": line in on, "summary": summary}


def _why_not(name: str) -> str | None:
    """What stands in the way of a package, a schema, a path and settings of that name."""
    from importlib.util import find_spec
    from keyword import iskeyword

    from pglast.keywords import RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS

    from undercroft.foundation.apps import installed_apps
    from undercroft.foundation.apps.descriptor import NAME
    from undercroft.foundation.apps.discovery import COMMANDS, RESERVED
    from undercroft.wings import CONTROL

    paths = {router.prefix.split("/")[1] for router in CONTROL if router.prefix}
    if not NAME.fullmatch(name):
        return "lower-case letters, digits and underscores, at most 31, no `pg_` before"
    if iskeyword(name) or name in RESERVED_KEYWORDS or name in TYPE_FUNC_NAME_KEYWORDS:
        return "it is a word of Python or of SQL"
    if name in RESERVED | COMMANDS or _path_of(name) in paths:
        return "the platform has something of that name"
    if name in installed_apps():
        return "an app of that name is installed"
    if name in {"tests", *sys.stdlib_module_names} or find_spec(name):
        return "a Python package of that name is there already"
    return None


def _path_of(name: str) -> str:
    return name.replace("_", "-")


def _write(name: str, target: Path) -> list[Path]:
    from importlib.resources import as_file, files

    from jinja2 import Environment, StrictUndefined

    # These become Python and TOML, never a page.
    templates = Environment(  # noqa: S701
        undefined=StrictUndefined, keep_trailing_newline=True
    )
    values = {"name": name, "path": _path_of(name)}
    written = []
    with as_file(files("undercroft.cli") / "app_template") as source:
        for template in sorted(source.rglob("*.jinja")):
            place = template.relative_to(source).with_suffix("")
            parts = [name if part == "package" else part for part in place.parts]
            path = target.joinpath(*parts)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(templates.from_string(template.read_text()).render(values))
            written.append(path)
    return written
