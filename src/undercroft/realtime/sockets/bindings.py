"""What a client asks of `postgres_changes`, checked against the catalogue."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from undercroft.realtime.changes.cursor import Cursor
from undercroft.realtime.sockets.catalog import Catalog, TableInfo
from undercroft.realtime.sockets.channel import JoinRefused
from undercroft.realtime.sockets.filters import (
    Filter,
    FilterInvalid,
    matching_statement,
    parse_filter,
)
from undercroft.realtime.sockets.judge import Judge

EVENTS = frozenset({"*", "INSERT", "UPDATE", "DELETE"})
EVERY = "*"
_LONGEST_NAME = 63
_ID_BYTES = 6  # JavaScript counts exactly up to 53 bits


class NotLive(JoinRefused):
    """A table that is missing, not published or not for this role to read: all the same."""

    def __init__(self, schema: str, table: str) -> None:
        super().__init__(
            "RealtimeDisabledForConfiguration: Unable to subscribe to changes of "
            f"{schema}.{table}. Check that it exists, is live and may be read."
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """`id` is the same for the same wish, whoever has it, so that one message serves them all."""

    id: int
    event: str
    schema: str
    table: str
    filter: Filter | None = None
    select: frozenset[str] | None = None

    def covers(self, schema: str, table: str) -> bool:
        return self.schema in {EVERY, schema} and self.table in {EVERY, table}


@dataclass(frozen=True, slots=True)
class Wish:
    """A binding as it came, with the answer that repeats it."""

    binding: Binding
    echo: dict[str, Any]
    since: str | None


def read_wish(asked: dict[str, Any]) -> Wish:
    """Raises `JoinRefused`."""
    event, schema = asked.get("event", EVERY), asked.get("schema") or "public"
    table, filter_text = asked.get("table") or EVERY, asked.get("filter") or None
    select, since = asked.get("select"), asked.get("since")
    names = [schema, table, *(select if isinstance(select, list) else [])]
    if event not in EVENTS or not all(_is_name(name) for name in names):
        raise JoinRefused("InvalidJoinPayload: event, schema, table or select is not valid")
    if filter_text is not None and (not isinstance(filter_text, str) or table == EVERY):
        raise JoinRefused("InvalidJoinPayload: a filter is text, and needs a table")
    try:
        conditions = parse_filter(filter_text) if filter_text else None
    except FilterInvalid as error:
        raise JoinRefused(f"InvalidFilter: {error}") from error
    chosen = frozenset(select) if isinstance(select, list) and select else None
    identity = _identity(event, schema, table, filter_text, chosen)
    binding = Binding(identity, event, schema, table, conditions, chosen)
    return Wish(binding, {**asked, "id": identity}, since if isinstance(since, str) else None)


async def check_binding(binding: Binding, role: str, catalog: Catalog, judge: Judge) -> None:
    """Raises `JoinRefused` for what this role can never receive, or Postgres not compare."""
    if EVERY in {binding.schema, binding.table}:
        return
    table = await catalog.find(binding.schema, binding.table)
    if table is None or not table.live or not (readable := table.readable(role)):
        raise NotLive(binding.schema, binding.table)
    wanted = (binding.select or frozenset()) | (
        binding.filter.columns if binding.filter else frozenset()
    )
    if unknown := sorted(wanted - readable):
        raise JoinRefused(f"InvalidFilter: there is no column {unknown[0]} to read")
    if binding.filter is not None:
        await _check_filter(binding.filter, table, judge)


async def _check_filter(wanted: Filter, table: TableInfo, judge: Judge) -> None:
    if await judge.refusal(matching_statement(table, [wanted])):
        raise JoinRefused("InvalidFilter: a value does not fit its column or operator")


def resume_from(wishes: tuple[Wish, ...]) -> str | None:
    """The earliest `since` of a join; cursors sort as text."""
    given = [wish.since for wish in wishes if wish.since]
    cursors = sorted(text for text in given if Cursor.parse(text))
    return cursors[0] if cursors else min(given, default=None)


def _identity(*parts: Any) -> int:
    plain = [sorted(part) if isinstance(part, frozenset) else part for part in parts]
    digest = hashlib.sha256(orjson.dumps(plain)).digest()
    return int.from_bytes(digest[:_ID_BYTES]) or 1


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and "\0" not in value
