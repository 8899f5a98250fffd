"""`undercroft settings`: what is set, and what could be."""

from typing import TYPE_CHECKING, Annotated

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from pydantic import BaseModel

app = typer.Typer(help="Settings.", no_args_is_help=True)


@app.command("show")
def show(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Print every setting in force, secrets masked; a star marks what is not the default."""
    import json

    from undercroft.cli.reference import every_setting

    settings = settings_for(home)
    found = {setting: _value(settings, setting.path) for setting in every_setting()}
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
    """Describe every setting."""
    from undercroft.cli.reference import pages, settings_page

    if not write:
        print(settings_page(), end="")
        return
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"Wrote {path}")


def _value(settings: "BaseModel", path: str) -> str | None:
    from undercroft.cli.reference import as_text

    value: object = settings
    for part in path.split("."):
        value = getattr(value, part)
    return as_text(value)
