"""`undercroft serve`."""

from typing import Annotated

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for


def serve(  # noqa: PLR0917 - Typer passes them by name
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Web processes; one per core up to four when not given."),
    ] = None,
    home: HomeOption = None,
    reload: Annotated[bool, typer.Option(help="Restart when the code changes.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve the API, with Postgres and Valkey under the home unless others are configured."""
    from undercroft.server.serve import ServeOptions
    from undercroft.server.serve import serve as run

    options = ServeOptions(host, port, workers, reload, as_json)
    run(settings_for(home), options)
