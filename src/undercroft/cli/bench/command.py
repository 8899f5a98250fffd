"""The command, its refusals and what it prints."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for
from undercroft.cli.remote import KeyOption, UrlOption, bearer, fail, server, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undercroft.cli.bench.calls import Measured
    from undercroft.cli.bench.pgbench import Pgbench
    from undercroft.cli.bench.world import World


@dataclass(frozen=True, slots=True)
class Load:
    rows: int
    seconds: int
    connections: int


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table. `of_pgbench` is our share of what the database alone does."""

    name: str
    measured: "Measured"
    pgbench_rate: float | None = None

    @property
    def of_pgbench(self) -> float | None:
        return self.measured.rate / self.pgbench_rate if self.pgbench_rate else None


def bench(  # noqa: PLR0917 - Typer passes them by name
    seconds: Annotated[int, typer.Option(min=1, max=60, help="Per measurement.")] = 3,
    rows: Annotated[int, typer.Option(min=100, max=100_000, help="Of the table.")] = 10_000,
    connections: Annotated[int, typer.Option(min=1, max=200, help="At once.")] = 16,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also on a database that is not the home's own.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the running server: read one row, list 30, insert one, sign in.

    It asks as a signed-in person through a policy that looks at who asks. Beside it `pgbench -M
    prepared` runs the same statements on the same database, without server and policy. Table and
    account are made for it and removed. The calls come from this machine: when the server runs
    here too, they share its cores.
    """
    from undercroft.cli.bench.pgbench import Pgbench
    from undercroft.cli.bench.world import opened
    from undercroft.foundation.embedded import EmbeddedEngines, Home, open_engines
    from undercroft.server.signals import leave_on_sigterm

    leave_on_sigterm()  # what was made is removed, however this ends
    given, where = settings_for(home), server(url, home)
    if given.database.url and not yes:
        fail(
            "The database is not the home's own. A table and an account are made in it and "
            "removed again, and it is busy meanwhile: with --yes."
        )
    _require_answer(where)
    operator = bearer(key, home, "bench")
    engine = EmbeddedEngines(Home(given.home), given).postgres
    with open_engines(given, command="bench") as settings:
        alone = Pgbench(settings, engine)
        with opened(settings, where, operator, rows) as world:
            lines = list(_measure(world, alone, Load(rows, seconds, connections)))
    if as_json:
        print(json.dumps([_as_json(line) for line in lines]))
    else:
        _print(lines, f"{rows:,} rows, {connections} connections, {seconds} s each, at {where}")
    if any(line.measured.failed for line in lines):
        raise typer.Exit(1)


def _require_answer(url: str) -> None:
    import httpx2

    try:
        httpx2.get(f"{url}/health", timeout=10)
    except httpx2.TransportError as error:
        unreachable(url, error, "nothing was measured")


def _measure(world: "World", alone: "Pgbench", load: Load) -> "Iterator[Line]":
    from undercroft.cli.bench.calls import measure

    often = {"seconds": load.seconds, "connections": load.connections}
    for name, requests, statement in _questions(world, load.rows):
        measured = measure(world.url, requests, **often)
        yield Line(name, measured, alone.rate(statement, numbers=load.rows, **often))
    yield Line("sign in", world.sign_ins())


def _questions(world: "World", rows: int) -> "Iterator[tuple[str, Iterator[bytes], str]]":
    table = world.table
    columns = "id, owner, name, amount, note"
    select = f"SELECT json_agg(t) FROM (SELECT {columns} FROM {table}"  # noqa: S608 - our own name
    yield "read one", world.reads(rows), f"{select} WHERE id = :n) t;"
    yield "list 30", world.lists(), f"{select} ORDER BY id DESC LIMIT 30) t;"
    insert = f"INSERT INTO {table} (owner, name, amount, note)"  # noqa: S608 - our own name
    values = f"VALUES ('{world.user_id}', 'new', 7, 'written by bench') RETURNING {columns};"
    yield "insert one", world.inserts(), f"{insert} {values}"


def _as_json(line: Line) -> dict[str, object]:
    shares = {"pgbench_rate": line.pgbench_rate, "of_pgbench": line.of_pgbench}
    return {"name": line.name, **asdict(line.measured), **shares}


def _print(lines: list[Line], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in ("", "answers/s", "p50 ms", "p99 ms", "of pgbench", "failed"):
        table.add_column(column, justify="right")
    for line in lines:
        share = line.of_pgbench
        table.add_row(
            line.name,
            f"{line.measured.rate:,.0f}",
            f"{line.measured.p50_ms:.1f}",
            f"{line.measured.p99_ms:.1f}",
            f"{share:.2f} of {line.pgbench_rate:,.0f}" if share else "",
            str(line.measured.failed or ""),
        )
    Console().print(table)
