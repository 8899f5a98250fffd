"""`undercroft export`: a table into a file, over the HTTP API of a running server."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO
from urllib.parse import quote

import typer

from undercroft.cli.options import HomeOption
from undercroft.cli.remote import (
    KeyOption,
    UrlOption,
    address,
    bearer,
    fail,
    sentence_of,
    server,
    unreachable,
)

if TYPE_CHECKING:
    import httpx2


class Kind(StrEnum):
    """What a file can hold."""

    CSV = "csv"
    NDJSON = "ndjson"


def export_table(
    table: Annotated[str, typer.Argument(help="Name of the table.")],
    file: Annotated[
        Path | None,
        typer.Argument(help="Default: standard output. A name that ends in .gz is compressed."),
    ] = None,
    kind: Annotated[
        Kind | None, typer.Option("--format", help="Default: by the file's name, else csv.")
    ] = None,
    columns: Annotated[str, typer.Option(help="Names, comma-separated. Default: all.")] = "",
    schema: Annotated[str, typer.Option(help="Schema of the table.")] = "public",
    as_caller: Annotated[
        bool, typer.Option("--as-caller", help="Only rows that the key's policies show.")
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option(help="A filter such as `amount=gt.10`; several are joined by and."),
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    home: HomeOption = None,
) -> None:
    """Write a table into a file as CSV or NDJSON."""
    import httpx2

    url = server(url, home)
    params = (
        ("format", (kind or _kind_of(file)).value),
        ("columns", columns),
        ("schema", schema),
        ("as_caller", str(as_caller).lower()),
        *(_filter(text) for text in where or ()),
    )
    compressed = file is not None and file.suffix == ".gz"
    headers = bearer(key, home, "export")
    headers["Accept-Encoding"] = "gzip" if compressed else "identity"
    target = address(url, f"/tables/{quote(table, safe='')}/export")
    timeout = httpx2.Timeout(30, read=3600)
    try:
        with httpx2.stream(
            "GET", target, params=params, headers=headers, timeout=timeout
        ) as answer:
            if answer.is_error:
                answer.read()
                fail(sentence_of(answer))
            with _output(file) as output:
                _write(answer, output, table, hidden=file is None)
    except httpx2.TransportError as error:
        unreachable(url, error, "the file is not whole and was removed")


def _filter(text: str) -> tuple[str, str]:
    column, _, condition = text.partition("=")
    return column, condition


def _kind_of(file: Path | None) -> Kind:
    suffixes = file.suffixes if file else []
    return Kind.NDJSON if {".ndjson", ".jsonl"} & set(suffixes) else Kind.CSV


@contextmanager
def _output(file: Path | None) -> Iterator[BinaryIO]:
    """The file under another name until it is whole."""
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = file.with_name(f".{file.name}.partial")
    try:
        with partial.open("wb") as output:
            yield output
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _write(answer: "httpx2.Response", output: BinaryIO, name: str, *, hidden: bool) -> None:
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.SpinnerColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with bars.Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task(name, total=None)
        for piece in answer.iter_raw():
            output.write(piece)
            progress.advance(task, len(piece))
