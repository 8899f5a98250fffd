"""Tables into files by COPY: streamed as fast as the reader reads, in constant memory.

Either past row security, as the table's owner, or as the API's role with the caller's claims.
"""

import asyncio
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from undercroft.data.sql_text import quote
from undercroft.data.tables.ddl import refusal, search_path
from undercroft.data.tables.errors import ExportsBusy
from undercroft.data.tables.queries import Table
from undercroft.data.tables.transfer.filters import Where
from undercroft.foundation.access import Actor

Format = Literal["csv", "ndjson"]
Connect = Callable[[], Awaitable["asyncpg.Connection[Any]"]]
# How far Postgres may run ahead of the reader.
PIECES_AHEAD = 4
PIECE_BYTES = 1 << 17
# The worker has better things to do, and text shrinks to a fifth even so.
FAST = 1
# A line of JSON has no raw control characters but white space between its tokens, so a CSV that
# quotes by one of them and separates by another writes it as it is.
CSV: dict[str, Any] = {"format": "csv", "header": True}
AS_IT_IS: dict[str, Any] = {"format": "csv", "delimiter": "\x02", "quote": "\x01"}


@dataclass(frozen=True, slots=True)
class Export:
    """What to copy. With an `actor` the rows are theirs to see."""

    table: Table
    columns: Sequence[str]
    kind: Format
    gzip: bool
    actor: Actor | None
    milliseconds: int
    where: Where | None = None


class RunningExport:
    """A copy under way. Whoever starts one closes it, read to its end or not."""

    def __init__(self, places: asyncio.Semaphore, connect: Connect, export: Export) -> None:
        self._places = places
        self._export = export
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(PIECES_AHEAD)
        self._copying = asyncio.create_task(_copy(connect, export, self._queue))
        self._first: bytes | None = None
        self._closed = False

    @classmethod
    async def start(
        cls, places: asyncio.Semaphore, connect: Connect, export: Export
    ) -> "RunningExport":
        """Wait for the first piece. Raises a `Problem` for what fails before it."""
        if places.locked():
            raise ExportsBusy
        await places.acquire()
        running = cls(places, connect, export)
        try:
            running._first = await running._next()
        except BaseException:
            await running.close()
            raise
        return running

    async def pieces(self) -> AsyncGenerator[bytes]:
        compressor = zlib.compressobj(FAST, wbits=31) if self._export.gzip else None
        piece = self._first
        while piece is not None:
            if compressor is None:
                yield piece
            elif smaller := await asyncio.to_thread(compressor.compress, piece):
                yield smaller
            piece = await self._next()
        if compressor is not None:
            yield compressor.flush()

    async def close(self) -> None:
        """End the copy, on the server too, and free its place."""
        if self._closed:
            return
        self._closed = True
        self._places.release()
        self._copying.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self._copying

    async def _next(self) -> bytes | None:
        getting = asyncio.create_task(self._queue.get())
        try:
            await asyncio.wait({getting, self._copying}, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done() and self._queue.empty():
                self._copying.result()  # raises what went wrong
            return await getting
        finally:
            getting.cancel()  # of no effect where it is done


async def _copy(connect: Connect, export: Export, queue: "asyncio.Queue[bytes | None]") -> None:
    pending = bytearray()

    async def write(data: bytes) -> None:
        pending.extend(data)
        if len(pending) >= PIECE_BYTES:
            await queue.put(bytes(pending))
            pending.clear()

    connection = await connect()
    try:
        async with connection.transaction(readonly=True):
            await _enter(connection, export)
            condition = await export.where.written(connection) if export.where else "true"
            options = CSV if export.kind == "csv" else AS_IT_IS
            await connection.copy_from_query(_query(export, condition), output=write, **options)
    except asyncpg.PostgresError as error:
        if problem := refusal(error):
            raise problem from error
        raise
    finally:
        # Cancelled in the middle of a copy, a polite farewell would wait for the rest of it.
        connection.terminate()
    if pending:
        await queue.put(bytes(pending))
    await queue.put(None)


async def _enter(connection: "asyncpg.Connection[Any]", export: Export) -> None:
    await connection.execute(f"SET LOCAL statement_timeout = {export.milliseconds}")
    await connection.execute("SET LOCAL lock_timeout = '3s'")
    if export.where:
        # The operators of filters are found where the grid finds them.
        await connection.execute(f"SET LOCAL search_path = {search_path(export.table.schema)}")
    if export.actor is not None:
        await connection.execute(
            "SELECT set_config('request.jwt.claims', $1, true), set_config('role', $2, true)",
            export.actor.claims,
            export.actor.role.value,
        )


def _query(export: Export, condition: str) -> str:
    listed = ", ".join(quote(name) for name in export.columns) or "NULL"
    source = export.table.quoted
    rows = f"SELECT {listed} FROM {source} WHERE {condition}"  # noqa: S608 - names and constants
    if export.kind == "csv":
        return rows
    line = "translate(row_to_json(exported)::text, E'\\n\\r', '  ')"
    return f"SELECT {line} FROM ({rows}) AS exported"  # noqa: S608 - made above
