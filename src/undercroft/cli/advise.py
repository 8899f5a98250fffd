"""`undercroft advise`: what is open, slow or about to break in the customer's schemas."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from undercroft.cli.options import HomeOption, JsonOption
from undercroft.cli.remote import KeyOption, UrlOption, get

STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


class Level(StrEnum):
    """How bad a finding is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def advise(
    schema: Annotated[str | None, typer.Option(help="Default: all of your schemas.")] = None,
    severity: Annotated[Level, typer.Option(help="Nothing below this.")] = Level.INFO,
    fail_on: Annotated[
        Level | None, typer.Option(help="Exit with 1 when something is at least this bad.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Print the SQL of all fixes instead.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what is open, slow or about to break, and the SQL that mends it."""
    import json

    params = {"severity": severity.value} | ({"schema": schema} if schema else {})
    response = get("/advisor", url=url, key=key, home=home, command="advise", **params)
    advice = response.json()
    if as_json:
        print(json.dumps(advice))
    elif fix:
        for found in advice["findings"]:
            print(f"-- {found['code']}: {found['object']}\n{found['fix']}")
    else:
        _show(advice)
    levels = [level.value for level in Level]
    if fail_on and any(advice["counts"][word] for word in levels[levels.index(fail_on.value) :]):
        raise typer.Exit(1)


def _show(advice: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for found in advice["findings"]:
        console.print(
            Text(found["severity"], STYLES[found["severity"]]),
            Text(f"{found['code']}  {found['object']}", "bold"),
        )
        console.print(Text(f"  {found['sentence']}"))
        console.print(Text(f"  {found['fix']}", "cyan"), soft_wrap=True)
    counts = ", ".join(f"{number} {word}" for word, number in advice["counts"].items())
    console.print(counts if advice["findings"] else "Nothing to mend.")
