"""Which changes reach whom: judged once per rule and caller, encoded once per kind of message."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson
import structlog

from undercroft.realtime.changes.change import Change, ChangeType, Record, TableShape, as_json
from undercroft.realtime.sockets.bindings import EVERY, Binding
from undercroft.realtime.sockets.catalog import Catalog, TableInfo
from undercroft.realtime.sockets.channel import Channel
from undercroft.realtime.sockets.filters import Filter, matching_statement
from undercroft.realtime.sockets.judge import Caller, Judge, select_rows
from undercroft.realtime.sockets.protocol import Outgoing

log = structlog.get_logger()

Table = tuple[str, str]
QUERY_CANCELED = "57014"
# What a filter may take by itself, as Postgres sees it, and all of them together with the wait for
# a connection, while everybody else waits.
FILTER_SECONDS, FILTERS_SECONDS = 0.25, 1.0


@dataclass(eq=False, slots=True)
class Audience:
    """Channels that ask for the same on the same topic as the same caller: they hear the same."""

    topic: str
    bindings: tuple[Binding, ...]
    caller: Caller
    channels: set[Channel] = field(default_factory=set)

    @property
    def key(self) -> tuple[str, tuple[Binding, ...], Caller]:
        return (self.topic, self.bindings, self.caller)

    def of(self, table: Table) -> list[Binding]:
        return [binding for binding in self.bindings if binding.covers(*table)]


@dataclass(slots=True)
class Verdicts:
    """Rows of one table by place: what was known of them, who sees them, which filters match.

    `outdated`: the table had other columns when they were logged.
    """

    info: TableInfo
    outdated: bool = False
    new: dict[int, int] = field(default_factory=dict)  # change → place
    old: dict[int, int] = field(default_factory=dict)
    rows: list[tuple[TableShape, Record]] = field(default_factory=list)
    known: list[frozenset[str]] = field(default_factory=list)
    seen: dict[Caller, frozenset[int]] = field(default_factory=dict)
    matched: dict[Filter, set[int]] = field(default_factory=dict)
    undecided: set[Caller] = field(default_factory=set)
    unmatched: set[Filter] = field(default_factory=set)
    spoiled: set[Filter] = field(default_factory=set)

    def document(self, columns: frozenset[str]) -> bytes:
        """The rows as JSON, with these columns alone: what nobody asks of can spoil no answer."""
        wanted = columns | self.info.checked
        parts: list[bytes] = []
        for shape, row in self.rows:
            places = frozenset(n for n, name in enumerate(shape.names) if name in wanted)
            parts.append(as_json(shape, row, places))
        return b"[" + b",".join(parts) + b"]"


@dataclass(frozen=True, slots=True)
class Unsent:
    """Audiences of which it is not known what they may hear, and whose filter cannot be run.

    Of those in `outdated` it was decided by the columns that the table has by now.
    """

    undecided: list[Audience]
    outdated: list[Audience]
    spoiled: list[Audience]


class Delivery:
    """Works on one batch. `send` pushes to the channels of an audience, change by change."""

    def __init__(self, catalog: Catalog, judge: Judge) -> None:
        self._catalog = catalog
        self._judge = judge

    async def deliver(
        self, changes: Sequence[Change], audiences: Iterable[Audience], *, anew: bool = False
    ) -> Unsent:
        """Send what each may hear; returned are those for whom it could not be found out.

        `anew` asks what the tables are now: changes of a while ago may fit what was kept since.
        Raises one of `Judge.ERRORS`, before anything was sent, when Postgres is not there.
        """
        everybody = list(audiences)
        tables = {(change.schema, change.table) for change in changes}
        plans: dict[Table, tuple[Verdicts, list[tuple[Audience, list[Binding]]]]] = {}
        for table in tables:
            asking = [(one, of) for one in everybody if (of := one.of(table))]
            own = {n: c for n, c in enumerate(changes) if (c.schema, c.table) == table}
            info = await self._find(table, own.values(), anew=anew) if asking else None
            if info is None or not info.live:
                continue
            plans[table] = (await self._judged(info, own, asking), asking)
        for number, change in enumerate(changes):
            if (plan := plans.get((change.schema, change.table))) is not None:
                verdicts, asking = plan
                _Telling(number, change, verdicts).tell(asking)
        asked = [
            (verdicts, audience, {binding.filter for binding in bindings if binding.filter})
            for verdicts, asking in plans.values()
            for audience, bindings in asking
        ]
        return Unsent(
            [one for v, one, own in asked if one.caller in v.undecided or own & v.unmatched],
            [one for v, one, _ in asked if v.outdated],
            [one for v, one, own in asked if own & v.spoiled],
        )

    async def _find(
        self, table: Table, changes: Iterable[Change], *, anew: bool
    ) -> TableInfo | None:
        """What is known of the table, anew when its columns are others than these changes have."""
        info = await self._catalog.find(*table, anew=anew)
        if not anew and info is not None and not _fits(info, changes):
            info = await self._catalog.find(*table, anew=True)
        return info

    async def _judged(
        self,
        info: TableInfo,
        changes: Mapping[int, Change],
        asking: Sequence[tuple[Audience, list[Binding]]],
    ) -> Verdicts:
        verdicts = Verdicts(info, outdated=not _fits(info, changes.values()))
        for number, change in changes.items():
            for record, places in ((change.new, verdicts.new), (change.old, verdicts.old)):
                if record is not None:
                    places[number] = len(verdicts.rows)
                    verdicts.rows.append((change.shape, record))
                    verdicts.known.append(_known(change, record))
        filters = {b.filter for _, bindings in asking for b in bindings if b.filter}
        await self._match(verdicts, sorted(filters, key=repr))
        await self._see(verdicts, {one.caller for one, _ in asking})
        return verdicts

    async def _match(self, verdicts: Verdicts, filters: Sequence[Filter]) -> None:
        usable = [one for one in filters if one.fits(verdicts.info)]
        verdicts.matched = {one: set() for one in filters}
        verdicts.spoiled.update(set(filters) - set(usable))
        if not usable or not verdicts.known:
            return
        for patterns in (False, True):
            some = [one for one in usable if one.has_pattern is patterns]
            try:
                async with asyncio.timeout(FILTERS_SECONDS if patterns else None):
                    await self._match_together(verdicts, some, FILTER_SECONDS if patterns else None)
            except asyncpg.PostgresError as error:
                _raise_if_gone(error)
                await self._match_alone(verdicts, some)
            except TimeoutError:
                verdicts.unmatched.update(some)

    async def _match_together(
        self, verdicts: Verdicts, filters: Sequence[Filter], seconds: float | None
    ) -> None:
        if filters:
            document = verdicts.document(frozenset().union(*(one.columns for one in filters)))
            statement = matching_statement(verdicts.info, filters)
            found = await self._judge.matching(statement, document, seconds=seconds)
            for place, number in found:
                verdicts.matched[filters[number]].add(place)

    async def _match_alone(self, verdicts: Verdicts, filters: Sequence[Filter]) -> None:
        """One by one, so that what fails or never ends is known, and is nobody else's business.

        Only Postgres says so of a filter; what we did not wait for may be as good as any.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + FILTERS_SECONDS
        for one in filters:
            if loop.time() > end:
                verdicts.unmatched.add(one)
                continue
            try:
                async with asyncio.timeout_at(end):
                    await self._match_together(verdicts, [one], FILTER_SECONDS)
            except asyncpg.PostgresError as error:
                _raise_if_gone(error)
                verdicts.spoiled.add(one)
            except TimeoutError:
                verdicts.unmatched.add(one)

    async def _see(self, verdicts: Verdicts, callers: set[Caller]) -> None:
        info = verdicts.info
        by_role: dict[str, list[Caller]] = defaultdict(list)
        for caller in callers:
            by_role[caller.role].append(caller)
        everything = frozenset(range(len(verdicts.known)))
        for role, group in by_role.items():
            rule = info.reading(role)
            if rule.sql is None or not everything:
                verdicts.seen |= dict.fromkeys(group, everything)
                continue
            decidable = {n for n, known in enumerate(verdicts.known) if rule.columns <= known}
            statement = select_rows(info, "_undercroft_place, 0", rule.sql)
            found: list[set[int]] = [set() for _ in group]
            try:
                passing = await self._judge.passing(
                    group, statement, verdicts.document(rule.columns)
                )
            except asyncpg.PostgresError as error:
                _raise_if_gone(error)
                verdicts.undecided |= set(group)
                passing = []
            for number, place, _ in passing:
                found[number].add(place)
            for caller, places in zip(group, found, strict=True):
                verdicts.seen[caller] = frozenset(places & decidable)


@dataclass(slots=True)
class _Telling:
    """One change on its way to everybody who may hear of it."""

    number: int
    change: Change
    verdicts: Verdicts
    _data: dict[Any, bytes] = field(default_factory=dict)
    _messages: dict[Any, Outgoing] = field(default_factory=dict)

    def tell(self, asking: Sequence[tuple[Audience, list[Binding]]]) -> None:
        for audience, bindings in asking:
            for message in self._messages_for(audience, bindings):
                for channel in audience.channels:
                    _push(channel, message, self.change)

    def _messages_for(self, audience: Audience, bindings: list[Binding]) -> list[Outgoing]:
        readable = self.verdicts.info.readable(audience.caller.role)
        if not all(self.change.shape.names[n] in readable for n in self.change.shape.key):
            return []
        told: dict[tuple[ChangeType, frozenset[str]], list[int]] = {}
        for binding in bindings:
            kind = self._kind(audience.caller, binding)
            if kind is not None and binding.event in {EVERY, kind.value}:
                columns = readable if binding.select is None else readable & binding.select
                told.setdefault((kind, columns), []).append(binding.id)
        sees_old = self._sees(audience.caller, self.verdicts.old)
        return [
            self._message(audience.topic, tuple(ids), kind, columns, sees_old=sees_old)
            for (kind, columns), ids in told.items()
        ]

    def _kind(self, caller: Caller, binding: Binding) -> ChangeType | None:
        """What the change is to this caller: an update may take a row out of their sight."""
        if self._sees(caller, self.verdicts.new) and self._matches(binding, self.verdicts.new):
            return self.change.type
        if self.change.type is ChangeType.INSERT or not self._sees(caller, self.verdicts.old):
            return None
        leaves = self.change.type is ChangeType.UPDATE
        # Of a deleted row too little may be known to filter; then everybody who saw it hears.
        if self._matches(binding, self.verdicts.old, unknown=not leaves):
            return ChangeType.DELETE
        return None

    def _sees(self, caller: Caller, places: Mapping[int, int]) -> bool:
        place = places.get(self.number)
        return place is not None and place in self.verdicts.seen[caller]

    def _matches(
        self, binding: Binding, places: Mapping[int, int], *, unknown: bool = True
    ) -> bool:
        if binding.filter is None:
            return True
        if binding.filter in self.verdicts.spoiled:
            return False
        place = places[self.number]
        if not binding.filter.columns <= self.verdicts.known[place]:
            return unknown
        return place in self.verdicts.matched[binding.filter]

    def _message(
        self,
        topic: str,
        ids: tuple[int, ...],
        kind: ChangeType,
        columns: frozenset[str],
        *,
        sees_old: bool,
    ) -> Outgoing:
        what = (kind, columns, sees_old)
        key = (topic, ids, what)
        message = self._messages.get(key)
        if message is None:
            data = self._data.get(what)
            if data is None:
                data = self._data[what] = self._encoded(kind, columns, sees_old=sees_old)
            payload = orjson.dumps({"ids": ids, "data": orjson.Fragment(data)})
            message = self._messages[key] = Outgoing(topic, "postgres_changes", payload)
        return message

    def _encoded(self, kind: ChangeType, columns: frozenset[str], *, sees_old: bool) -> bytes:
        change, shape = self.change, self.change.shape
        chosen = frozenset(n for n, name in enumerate(shape.names) if name in columns) | shape.key
        content: dict[str, Any] = {
            "schema": shape.schema,
            "table": shape.table,
            "commit_timestamp": change.committed_at,
            "type": kind.value,
            "cursor": str(change.cursor),
            "errors": None,
            "columns": [
                {"name": column.name, "type": column.type}
                for n, column in enumerate(shape.columns)
                if n in chosen
            ],
        }
        if kind is not ChangeType.DELETE and change.new is not None:
            content["record"] = orjson.Fragment(as_json(shape, change.new, chosen))
        if kind is not ChangeType.INSERT:
            leaves = kind is ChangeType.DELETE and change.type is ChangeType.UPDATE
            shown = shape.key if leaves else chosen
            hidden = change.old is None or not sees_old
            content["old_record"] = (
                {} if hidden else orjson.Fragment(as_json(shape, change.old or (), shown))
            )
        return orjson.dumps(content, option=orjson.OPT_UTC_Z)


def _raise_if_gone(error: asyncpg.PostgresError) -> None:
    """A rule that fails is its author's business; a server that is not there comes back."""
    if (error.sqlstate or "")[:2] in {"08", "53", "57"} and error.sqlstate != QUERY_CANCELED:
        raise error
    log.warning("changes_not_judged", cause=str(error))


def _push(channel: Channel, message: Outgoing, change: Change) -> None:
    if channel.live_after is not None and change.cursor <= channel.live_after:
        return
    if channel.held is not None:
        channel.held.append(message)
    else:
        channel.socket.push(message)


def _fits(info: TableInfo, changes: Iterable[Change]) -> bool:
    """Whether these changes have the columns that the table has now."""
    shapes = {id(change.shape): change.shape for change in changes}
    return all(info.logged == frozenset(shape.names) for shape in shapes.values())


def _known(change: Change, record: Record) -> frozenset[str]:
    names = change.shape.names
    if None not in record:
        return frozenset(names)
    return frozenset(n for n, value in zip(names, record, strict=True) if value is not None)
