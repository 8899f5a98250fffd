"""`undercroft sql`: SQL on a running server, over its HTTP API, as the developer."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from undercroft.cli.options import HomeOption, JsonOption
from undercroft.cli.remote import KeyOption, UrlOption, address, bearer, fail, server, unreachable

if TYPE_CHECKING:
    import httpx2

# Past the longest a script may be given, so that the server says that its time is over.
READ_SECONDS = 330.0


def sql(
    query: Annotated[
        str | None, typer.Argument(help="SQL. Left out, it is read from standard input.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", exists=True, dir_okay=False, help="A script.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Postgres refuses every write.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run all of it, then take it back.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the rows of the last result as CSV.")
    ] = False,
    as_json: JsonOption = False,
    timeout: Annotated[float | None, typer.Option(help="Seconds for the whole script.")] = None,
    max_rows: Annotated[int | None, typer.Option(help="Most rows of each result.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    home: HomeOption = None,
) -> None:
    """Run SQL on the server: all of the script in one transaction, or nothing of it."""
    import json

    if query is not None and file is not None:
        raise typer.BadParameter("Give the SQL or a file, not both.")
    script = _script(file) if file else query or sys.stdin.read()
    asked = {"query": script, "read_only": read_only, "dry_run": dry_run}
    asked |= {"timeout": timeout, "max_rows": max_rows}
    response = _post(asked, url=url, key=key, home=home)
    if as_json:
        print(response.text)
    if response.is_error and not as_json:
        fail(_refusal(response))
    if response.is_error:
        raise typer.Exit(1)
    if as_json:
        return
    body = json.loads(response.text)
    for notice in body["notices"]:
        print(f"{notice['severity']}: {notice['message']}", file=sys.stderr)
    _print_csv(body["results"]) if as_csv else _print_tables(body["results"])


def _script(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter("It is not text in UTF-8.", param_hint="--file") from error


def _post(
    asked: dict[str, Any], *, url: str | None, key: str | None, home: Path | None
) -> "httpx2.Response":
    import httpx2

    url = server(url, home)
    headers = bearer(key, home, "sql")
    timeout = httpx2.Timeout(30, read=READ_SECONDS)
    try:
        return httpx2.post(address(url, "/sql/query"), json=asked, headers=headers, timeout=timeout)
    except httpx2.TransportError as error:
        unreachable(url, error, "whether the script was kept is in `/sql/history`")


def _refusal(response: "httpx2.Response") -> str:
    """What Postgres said, where, and its advice."""
    from undercroft.cli.remote import sentence_of

    try:
        body = response.json()
        said = body["message"]
    except (ValueError, KeyError):
        return sentence_of(response)
    place = f" (line {body['line']}, column {body['column']})" if body.get("line") else ""
    return "\n".join([f"{said}{place}", *(body[k] for k in ("details", "hint") if body.get(k))])


def _print_csv(results: list[dict[str, Any]]) -> None:
    import csv

    result = next((one for one in reversed(results) if one["columns"]), None)
    if result is None:
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column["name"] for column in result["columns"]])
    writer.writerows([_text(value, null="") for value in row] for row in result["rows"])
    _warn_of_more(result)


def _print_tables(results: Iterable[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False)
    for result in results:
        if not result["columns"]:
            affected = result["affected_rows"]
            console.print(result["command"] + (f" {affected}" if affected is not None else ""))
            continue
        table = Table(box=box.SIMPLE_HEAD)
        for column in result["columns"]:
            table.add_column(Text(column["name"]), overflow="fold")
        for row in result["rows"]:
            table.add_row(*(Text(_text(value, null="NULL")) for value in row))
        console.print(table)
        rows = result["row_count"]
        console.print(f"({rows} row{'' if rows == 1 else 's'})")
        _warn_of_more(result)


def _warn_of_more(result: dict[str, Any]) -> None:
    if result["truncated"]:
        print("There are more rows: see --max-rows.", file=sys.stderr)


def _text(value: Any, *, null: str) -> str:
    import json

    if value is None:
        return null
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
