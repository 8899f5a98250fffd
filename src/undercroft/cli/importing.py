"""`undercroft import`: a file into a table, over the HTTP API of a running server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO
from urllib.parse import quote

import typer

from undercroft.cli.options import HomeOption, JsonOption
from undercroft.cli.remote import (
    KeyOption,
    UrlOption,
    address,
    bearer,
    server,
    unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 1 << 18
NO_TABLE = "no_table_to_fill"
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
}


def import_file(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="CSV or NDJSON; .zip, .gz too.")
    ],
    table: Annotated[str | None, typer.Option(help="Default: the file's name.")] = None,
    schema: Annotated[str, typer.Option(help="Schema of the table.")] = "public",
    null: Annotated[str, typer.Option(help="Text that stands for NULL in CSV.")] = "",
    charset: Annotated[str, typer.Option(help="Of the file, as windows-1252.")] = "utf-8",
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="`Name in the file:column`, where they differ."),
    ] = None,
    on_conflict: Annotated[
        str,
        typer.Option(
            help="Columns of a unique constraint, comma-separated: rows there already are updated."
        ),
    ] = "",
    ignore: Annotated[
        bool, typer.Option("--ignore", help="Leave rows that are there already as they are.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fill a table from a file: every row of it or none."""
    import json

    import httpx2

    url = server(url, home)
    if ignore and not on_conflict:
        raise typer.BadParameter("--ignore needs --on-conflict.")
    kind = _kind(file)
    target = table or _stem(file)
    path = f"/tables/{quote(target, safe='')}/import"
    headers = bearer(key, home, "import") | {"Content-Type": f"{kind}; charset={charset}"}
    with _open(file) as (stream, size), _progress(target, size, hidden=as_json) as advance:
        try:
            response = httpx2.post(
                address(url, path),
                params={
                    "schema": schema,
                    "null": null,
                    "columns": columns or [],
                    "on_conflict": on_conflict,
                    "resolution": "ignore" if ignore else "merge",
                },
                headers=headers,
                content=_chunks(stream, advance),
                timeout=httpx2.Timeout(30, read=3600, write=3600),
            )
        except httpx2.TransportError as error:
            unreachable(url, error, "nothing was imported")
    body = response.json()
    if response.is_error:
        print(json.dumps(body) if as_json else f"{file}: {body['title']}. {body['detail']}")
        if body["code"] == NO_TABLE and not as_json:
            _propose(file, kind, charset, schema, target)
        raise typer.Exit(1)
    rate = body["rows"] / max(body["seconds"], 0.001)
    line = f"{target}: {body['rows']:,} rows in {body['seconds']:.1f} s ({rate:,.0f} rows/s)"
    if body["skipped"]:
        line += f", {body['skipped']:,} there already"
    print(json.dumps(body) if as_json else line)


def _propose(file: Path, kind: str, charset: str, schema: str, table: str) -> None:
    """Print the command that makes a table for the file, if its beginning can be read."""
    import codecs
    import csv
    import json
    import shlex

    from undercroft.data.tables.transfer.charsets import find_charset

    codec = find_charset(charset)
    if codec is None:
        return
    with _open(file) as (stream, _):
        line = codecs.getreader(codec)(stream, "replace").readline(CHUNK)
    line = line.removeprefix("\ufeff")
    try:
        names = next(csv.reader([line])) if kind == MEDIA_TYPES[".csv"] else list(json.loads(line))
    except (StopIteration, csv.Error, ValueError, TypeError):
        return
    quoted = ['"' + str(name).replace('"', '""') + '"' for name in (schema, table, *names)]
    columns = ", ".join(f"{name} text" for name in quoted[2:])
    statement = f"create table {quoted[0]}.{quoted[1]} ({columns})"
    print(f"For example, with types that fit:\n  undercroft sql {shlex.quote(statement)}")


def _stem(file: Path) -> str:
    return file.name.partition(".")[0]


def _kind(file: Path) -> str:
    for suffix in file.suffixes:
        if suffix in MEDIA_TYPES:
            return MEDIA_TYPES[suffix]
    raise typer.BadParameter(
        "The file's name must end in .csv, .ndjson or .jsonl (then .gz, .zip)."
    )


@contextmanager
def _open(file: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    """The content and its size where that is known."""
    import gzip
    import zipfile

    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            members = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(members) != 1:
                raise typer.BadParameter("The archive must hold exactly one file.")
            with archive.open(members[0]) as stream:
                yield stream, members[0].file_size  # type: ignore[misc]
    elif file.suffix == ".gz":
        with gzip.open(file) as stream:
            yield stream, None  # type: ignore[misc]
    else:
        with file.open("rb") as stream:
            yield stream, file.stat().st_size


def _chunks(stream: BinaryIO, advance: "Callable[[int], None]") -> Iterator[bytes]:
    while chunk := stream.read(CHUNK):
        yield chunk
        # Counted when the server has taken it: COPY is that far, not just our buffer.
        advance(len(chunk))


@contextmanager
def _progress(name: str, size: int | None, *, hidden: bool) -> "Iterator[Callable[[int], None]]":
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with bars.Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(name, total=size)
        yield lambda count: progress.advance(task, count)
