"""What `serve` prints when it is ready: for people, or one line for a script."""

import json
import os
import sys
from pathlib import Path

import typer

from undercroft.foundation.settings import Settings
from undercroft.server.preparation import Superuser


def print_banner(
    url: str, settings: Settings, superuser: Superuser | None, *, home: Path | None
) -> None:
    rows = [
        ("API", f"{url}{settings.prefix}"),
        ("Rows", f"{url}/rest/v1"),
        ("Files", f"{url}/storage/v1"),
        ("Live", f"{url}/realtime/v1"),
        ("Docs", f"{url}/docs"),
        ("Home", str(home) if home else "none: Postgres and Valkey are elsewhere"),
    ]
    if superuser:
        rows.append(("Superuser", superuser.identifier))
        if superuser.password:
            rows.append(("Password", f"{superuser.password}  (shown only this once)"))
    rows.append(("Keys", "undercroft keys show"))
    typer.echo(typer.style("Undercroft is ready.", bold=True) + " Ctrl-C stops it.")
    for name, value in rows:
        typer.echo(typer.style(f"{name:<10}", dim=True) + f" {value}")


def print_json(url: str, *, home: Path | None) -> None:
    line = {"url": url, "pid": os.getpid(), "home": str(home) if home else None}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
