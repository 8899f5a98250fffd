"""`undercroft storage …`: the files and the bytes behind them."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for

if TYPE_CHECKING:
    from undercroft.foundation.settings import Settings
    from undercroft.storage.fsck import Report

app = typer.Typer(help="Files and the bytes behind them.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `fsck` a command of its own."""


@app.command()
def fsck(
    repair: Annotated[
        bool,
        typer.Option(help="Remove orphaned bytes, and files whose bytes are gone."),
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare files with bytes, both ways; exit with 1 when something does not belong together."""
    from undercroft.foundation.embedded import open_engines

    with open_engines(settings_for(home), command="storage fsck", existing=True) as settings:
        report = asyncio.run(_check(settings, repair=repair))
    print(json.dumps(asdict(report), indent=2) if as_json else _as_text(report))
    if not report.clean:
        raise typer.Exit(1)


async def _check(settings: "Settings", *, repair: bool) -> "Report":
    from undercroft.foundation.db import Database
    from undercroft.storage.backends import BackendDown
    from undercroft.storage.files import Files
    from undercroft.storage.fsck import check_files

    database = Database(settings.database)
    files = Files(settings, database)
    try:
        return await check_files(files, database.unit_of_work, repair=repair)
    except BackendDown as error:
        cause = str(error).partition("\n")[0]
        print(f"undercroft: The files cannot be reached: {cause}", file=sys.stderr)
        raise typer.Exit(1) from error
    finally:
        await files.close()
        await database.dispose()


def _as_text(report: "Report") -> str:
    lines = [f"{report.files} files, {report.bytes} bytes."]
    lines += [f"bytes without a file: {key}" for key in report.orphans]
    lines += [f"file without its bytes: {m.bucket}/{m.name}" for m in report.missing]
    lines += [f"not swept yet: {blob}" for blob in report.overdue]
    if report.repaired:
        lines.append("Repaired.")
    elif not report.clean:
        lines.append("Run it again with --repair to remove these.")
    return "\n".join(lines)
