"""`undercroft types`: types for clients, written from the live schema."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from undercroft.cli.options import HomeOption
from undercroft.cli.remote import KeyOption, UrlOption, get


class Language(StrEnum):
    """What the types are written in."""

    TYPESCRIPT = "typescript"
    PYTHON = "python"


def types(
    file: Annotated[
        Path | None, typer.Argument(help="Where to write them. Default: standard output.")
    ] = None,
    lang: Annotated[Language, typer.Option(help="typescript or python.")] = Language.TYPESCRIPT,
    schema: Annotated[
        list[str] | None, typer.Option(help="Default: the schemas that are served.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 when the file is stale.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    home: HomeOption = None,
) -> None:
    """Write the types of your tables for supabase-js or for Python."""
    params = {"lang": lang.value} | ({"schema": schema} if schema else {})
    written = get("/schema/types", url=url, key=key, home=home, command="types", **params).text
    if check:
        if file is None or not file.exists() or file.read_text("utf-8") != written:
            print(f"{file or 'The types'}: not what the schema says. Run `undercroft types` again.")
            raise typer.Exit(1)
    elif file is None:
        print(written, end="")
    else:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(written, "utf-8")
