"""What `serve` prints when it is ready: for people, or one line for a script."""

import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from undercroft.foundation.settings import Settings
from undercroft.server.preparation import Superuser


def print_banner(
    url: str, settings: Settings, superuser: Superuser | None, *, home: Path | None
) -> None:
    lines = Table.grid(padding=(0, 2))
    lines.add_row("API", f"{url}{settings.prefix}")
    lines.add_row("Rows", f"{url}/rest/v1")
    lines.add_row("Docs", f"{url}/docs")
    lines.add_row("Home", escape(str(home)) if home else "none: Postgres and Valkey are elsewhere")
    if superuser:
        lines.add_row("Superuser", escape(superuser.identifier))
    if superuser and superuser.password:
        lines.add_row("Password", f"{escape(superuser.password)}  (shown only this once)")
    lines.add_row("Keys", "undercroft keys show")
    console = Console(soft_wrap=True, highlight=False)
    console.print("[bold]Undercroft is ready.[/bold] Ctrl-C stops it.")
    console.print(lines)


def print_json(url: str, *, home: Path | None) -> None:
    line = {"url": url, "pid": os.getpid(), "home": str(home) if home else None}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
