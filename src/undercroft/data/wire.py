"""asyncpg for results of any shape: every value as Postgres writes it, no answer larger than asked.

The driver's own types would refuse what Python cannot hold (dates before Christ, infinity, ranges
of types it does not know). Here numbers, booleans and JSON are themselves, arrays are lists, and
the rest is Postgres' own text.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson
from asyncpg.protocol import protocol as driver

from undercroft.foundation.db import WatchedConnection

NOT_NUMBERS = frozenset({"NaN", "Infinity", "-Infinity"})


def _float(text: str) -> float | str:
    return text if text in NOT_NUMBERS else float(text)


def _bool(text: str) -> bool:
    return text == "t"


# int8 and numeric stay text: JavaScript would round them without a word.
DECODERS: dict[str, Callable[[str], Any]] = {
    "bool": _bool,
    "int2": int,
    "int4": int,
    "oid": int,
    "float4": _float,
    "float8": _float,
    "json": orjson.Fragment,
    "jsonb": orjson.Fragment,
}


def as_text(value: Any) -> str:
    """A parameter as Postgres reads it; what it means is the server's to say."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case _:
            # Numbers of any size, which orjson refuses.
            return json.dumps(value, ensure_ascii=False)


class TextConnection(WatchedConnection):
    """A connection whose values are text, numbers, booleans, lists and JSON."""

    def use_text(self) -> None:
        """Call once after connecting."""
        arrays: frozenset[int] = frozenset(driver.ARRAY_TYPES)
        for oid, name in driver.BUILTIN_TYPE_OID_MAP.items():
            if oid not in arrays:
                self._add_text(oid, name, "pg_catalog")

    def _add_text(self, oid: int, name: str, schema: str) -> None:
        settings: Any = self._protocol.get_settings()  # type: ignore[attr-defined]
        decoder = DECODERS.get(name, str) if schema == "pg_catalog" else str
        settings.add_python_codec(oid, name, schema, (), "scalar", as_text, decoder, "text")

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float) -> Any:
        """Types that the driver meets for the first time: arrays as such, all else as text."""
        parent: Any = super()
        found, statement = await parent._introspect_types(typeoids, timeout)  # noqa: SLF001
        for row in found:
            if not row["elemtype"]:
                self._add_text(row["oid"], row["name"], row["ns"])
        return [row for row in found if row["elemtype"]], statement


class Portal:
    """The rows of one prepared statement, fetched in parts. Closes with its transaction."""

    def __init__(self, connection: TextConnection, prepared: Any, arguments: Sequence[Any]) -> None:
        self._protocol: Any = connection._protocol  # type: ignore[attr-defined]  # noqa: SLF001
        self._state = prepared._state  # noqa: SLF001 - asyncpg's cursors lose the command tag
        self._arguments = arguments
        self._open = False
        self.tag: str | None = None
        self.count = 0

    async def fetch(self, limit: int) -> list[tuple[Any, ...]]:
        """Up to `limit` more rows, all for 0. `tag` is known once there are no more."""
        if self._open:
            rows, tag, _ = await self._protocol.execute(self._state, "", limit, True, None)
        else:
            rows, tag, _ = await self._protocol.bind_execute(
                self._state, self._arguments, "", limit, True, None
            )
        self._open = True
        # An unfinished portal has no tag; the driver then shows that of the statement before.
        if rows is None or limit == 0 or len(rows) < limit:
            self.tag = tag.decode() if tag else ""
        self.count += len(rows or ())
        return [tuple(row) for row in rows or ()]


class Metered(asyncio.Protocol):
    """Stands between a transport and the driver, and cuts an answer that grows too large.

    A single value may have a gigabyte: no limit on rows keeps it out of memory.
    """

    def __init__(self, connection: TextConnection, limit: int) -> None:
        self._inner: Any = connection._protocol  # type: ignore[attr-defined]  # noqa: SLF001
        self._transport: Any = connection._transport  # type: ignore[attr-defined]  # noqa: SLF001
        self.limit = limit
        self.received = 0
        self.exceeded = False
        self._transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.received > self.limit:
            self.exceeded = True
            self._transport.abort()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        result: bool | None = self._inner.eof_received()
        return result

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
