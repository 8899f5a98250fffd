"""`undercroft worker`."""

from typing import Annotated

import typer

from undercroft.cli.options import HomeOption, settings_for


def worker(
    home: HomeOption = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Serve Prometheus metrics of this process there."),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(help="Address for them; whoever reaches it may read them.")
    ] = "127.0.0.1",
) -> None:
    """Work the jobs of a database that is not embedded; `serve` does it on an embedded home.

    What it counts (jobs, webhooks, the reading of changes) is not in the `/metrics` of `serve`:
    give it a port of its own, and collect both.
    """
    from undercroft.app import open_workplace
    from undercroft.foundation.embedded import open_engines
    from undercroft.foundation.jobs import run_worker

    with open_engines(settings_for(home), command="worker") as settings:
        if metrics_port:
            _serve_metrics(metrics_host, metrics_port)
        run_worker(settings, open_workplace)


def _serve_metrics(host: str, port: int) -> None:
    from prometheus_client import start_http_server

    from undercroft.server.errors import CannotServe

    try:
        start_http_server(port, host)
    except OSError as error:
        raise CannotServe(
            f"Metrics cannot be served at {host}:{port}: {error.strerror}."
        ) from error
