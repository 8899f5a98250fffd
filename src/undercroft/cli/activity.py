"""`undercroft activity`: read the log, and find out whether somebody changed it."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from undercroft.cli.options import HomeOption, JsonOption, settings_for, visible

if TYPE_CHECKING:
    from undercroft.foundation.http import Foundation
    from undercroft.operations.activity.queries import ActivityFilter
    from undercroft.operations.activity.verify import Verdict

Result = TypeVar("Result")

app = typer.Typer(
    help="The activity log: who did what. `verify` tells whether it was changed.",
    no_args_is_help=True,
)

SinceOption = Annotated[
    str, typer.Option(help="A time (2026-11-22 or with hours), or an age such as 90m, 12h, 30d.")
]
UntilOption = Annotated[str | None, typer.Option(help="As --since; now unless told.")]
LevelOption = Annotated[str | None, typer.Option(help="debug, info, warn, error or audit.")]
ActionOption = Annotated[str | None, typer.Option(help="Such as api_key.revoked.")]
UserOption = Annotated[str | None, typer.Option(help="Id of who acted.")]
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@app.command("list")
def list_activity(
    since: SinceOption = "24h",
    until: UntilOption = None,
    level: LevelOption = None,
    action: ActionOption = None,
    user: UserOption = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most entries to show.")] = 50,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """The latest entries of a window, the oldest of them first.

    Example: `undercroft activity list --since 2h --level warn` shows refusals and failed sign-ins.
    """
    wanted = _filter(since, until, level, action, user)

    async def read(parts: "Foundation") -> list[dict[str, Any]]:
        from undercroft.foundation.db import PageRequest
        from undercroft.operations.activity.queries import list_entries
        from undercroft.operations.activity.schemas import ActivityRead

        async with parts.database.unit_of_work() as session:
            entries, _, _ = await list_entries(session, wanted, PageRequest(limit, None, False))
        return [ActivityRead.model_validate(entry).model_dump(mode="json") for entry in entries]

    found = _with_parts(home, "activity list", read)[::-1]
    if as_json:
        print(json.dumps(found))
        return
    for entry in found:
        who = entry["user_id"] or entry["api_key_id"] or entry["actor_type"]
        target = f" {entry['target_type']}={entry['target_id']}" if entry["target_id"] else ""
        line = f"{entry['created_at']}  {entry['level']:<5}  {entry['action']}  by {who}{target}"
        print(visible(line))
    if not found:
        print("Nothing happened in this window.")


@app.command("export")
def export(
    since: SinceOption = "30d",
    until: UntilOption = None,
    level: LevelOption = None,
    action: ActionOption = None,
    user: UserOption = None,
    kind: Annotated[str, typer.Option("--format", help="ndjson or csv.")] = "ndjson",
    home: HomeOption = None,
) -> None:
    """Write entries to standard output, the oldest first, a line each.

    Example: `undercroft activity export --since 7d --format csv > week.csv`
    """
    if kind not in {"csv", "ndjson"}:
        raise typer.BadParameter("csv or ndjson", param_hint="--format")
    wanted = _filter(since, until, level, action, user)

    async def write(parts: "Foundation") -> None:
        from undercroft.operations.activity.exports import PAGE, export_entries
        from undercroft.operations.activity.queries import next_entries

        async with parts.database.unit_of_work() as session:
            first = await next_entries(session, wanted, None, PAGE)
        async for part in export_entries(parts.database, wanted, kind, first):
            sys.stdout.buffer.write(part)

    _with_parts(home, "activity export", write)


@app.command("verify")
def verify(
    head: Annotated[
        str | None,
        typer.Option(help="A head you kept, such as 812:9f2c…: finds a cut or forged chain."),
    ] = None,
    keep: Annotated[
        Path | None,
        typer.Option(help="Read the head to compare with from this file, and keep the new one."),
    ] = None,
    as_json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Compare every entry with the seal over it, and every seal with the one before.

    Exits with 1 and names the first broken link when an entry or a seal was changed, deleted or
    put in past the platform. Keep the head it prints somewhere else and pass it next time: only
    then is a tail noticed that was cut off. Workers log it too (`activity_sealed`).

    For a timer, on another machine than the database's: `undercroft activity verify --keep
    /mnt/elsewhere/head`. The file is written only when all is intact.
    """
    from undercroft.operations.activity.seals import Head

    if keep and head is None and keep.exists():
        head = keep.read_text().strip()
    try:
        known = Head.parse(head) if head else None
    except ValueError as error:
        raise typer.BadParameter("NUMBER:HEX, as verify prints it", param_hint="--head") from error

    async def check(parts: "Foundation") -> "Verdict":
        from undercroft.operations.activity.verify import verify_chain

        async with parts.database.unit_of_work() as session:
            return await verify_chain(session, parts.keyring, known=known)

    verdict = _with_parts(home, "activity verify", check)
    print(json.dumps(_as_json(verdict)) if as_json else _in_words(verdict))
    if verdict.broken:
        raise typer.Exit(1)
    if keep:
        keep.write_text(f"{verdict.head}\n")


def _as_json(verdict: "Verdict") -> dict[str, Any]:
    broken = verdict.broken
    return {
        "intact": broken is None,
        "entries": verdict.entries,
        "seals": verdict.seals,
        "unsealed": verdict.unsealed,
        "head": str(verdict.head),
        "broken": broken
        and {
            "seal": broken.seal,
            "entry_id": broken.entry_id and str(broken.entry_id),
            "reason": broken.reason,
        },
    }


def _in_words(verdict: "Verdict") -> str:
    if verdict.broken:
        where = f"Broken at seal {verdict.broken.seal}: {verdict.broken.reason}."
        return f"{where}\nIntact before it: {verdict.entries} entries under {verdict.seals} seals."
    lines = [f"Intact: {verdict.entries} entries under {verdict.seals} seals."]
    if verdict.unsealed:
        lines.append(
            f"Not sealed yet: {verdict.unsealed}, the oldest of {verdict.oldest_unsealed_at}."
        )
    if verdict.purged_before:
        lines.append(f"Retention took what was before {verdict.purged_before}.")
    return "\n".join([*lines, f"Head: {verdict.head}"])


def _filter(
    since: str, until: str | None, level: str | None, action: str | None, user: str | None
) -> "ActivityFilter":
    from uuid import UUID

    from undercroft.operations.activity.models import Level
    from undercroft.operations.activity.queries import ActivityFilter

    now = datetime.now(UTC)
    first, last = _moment(since, now), _moment(until, now) if until else now + timedelta(minutes=1)
    try:
        return ActivityFilter(
            first, last, Level(level) if level else None, action, None, UUID(user) if user else None
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _moment(text: str, now: datetime) -> datetime:
    """A time, or an age counted back from now."""
    try:
        if text[-1:] in UNITS and text[:-1].isdigit():
            return now - timedelta(**{UNITS[text[-1]]: int(text[:-1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"'{text}' is neither a time nor an age such as 12h") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _with_parts(
    home: Path | None, command: str, work: "Callable[[Foundation], Awaitable[Result]]"
) -> Result:
    from undercroft.app import open_parts
    from undercroft.foundation.embedded import open_engines

    async def run() -> Result:
        async with open_parts(settings) as (parts, _):
            return await work(parts)

    with open_engines(settings_for(home), command=command, existing=True) as settings:
        return asyncio.run(run())
