"""`undercroft rest`: PostgREST's command, by another name."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer


def _version(asked: bool) -> None:
    if asked:
        from undercroft.data.rest.standalone.serve import VERSION

        print(VERSION)
        raise typer.Exit


def rest(
    config: Annotated[
        Path | None, typer.Argument(help="PostgREST's configuration file. Variables win over it.")
    ] = None,
    dump_config: Annotated[
        bool, typer.Option("--dump-config", help="Print every setting in force, and end.")
    ] = False,
    dump_schema: Annotated[
        bool, typer.Option("--dump-schema", help="Print what is read of the schema, and end.")
    ] = False,
    ready: Annotated[
        bool, typer.Option("--ready", help="Ask the admin server of a running one, and end.")
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", "-e", help="Print a configuration file, and end.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", "-v", callback=_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Serve the rows API alone over any database, configured by PostgREST's PGRST_* variables."""
    del version
    from undercroft.data.rest.standalone import InvalidSettingError, commands, dump
    from undercroft.data.rest.standalone.app import create_standalone_app
    from undercroft.data.rest.standalone.environment import read_settings
    from undercroft.data.rest.standalone.serve import run

    shows = (
        (dump_config, commands.show_config),
        (dump_schema, commands.show_schema),
        (ready, commands.ask_ready),
    )
    try:
        if example:
            print(dump.example_config(read_settings({})), end="")
            return
        app = create_standalone_app(os.environ, config)
        for asked, show in shows:
            if asked:
                print(show(app), end="")
                return
        raise typer.Exit(run(app))
    except (InvalidSettingError, commands.NotReadyError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        raise typer.Exit(1) from error
