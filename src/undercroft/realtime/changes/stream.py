"""A connection that streams a replication slot, on libpq: asyncpg does not speak this protocol."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from psycopg import AsyncConnection, Error, pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGresult

CONNECT_SECONDS = 5
# As long as the keepalives below take: those rest while something sent is not acknowledged.
UNHEARD_MILLISECONDS = 5_000
# A server that hears nothing of us for so long frees the slot for our successor.
SILENCE = "4s"
STATUS_SECONDS = 1.0
SESSION = (
    f"-c wal_sender_timeout={SILENCE} -c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres"
    " -c bytea_output=hex -c extra_float_digits=1 -c statement_timeout=0"
    " -c idle_session_timeout=0"
)
_DATA, _KEEPALIVE = b"w", b"k"
_DATA_HEAD = struct.Struct(">cQQq")
_KEEPALIVE_BODY = struct.Struct(">cQqB")
_STATUS = struct.Struct(">cQQQqB")


class StreamBroken(Exception):  # noqa: N818 - says what happened
    """The connection is gone, or the server refused a command."""


@dataclass(frozen=True, slots=True)
class Logged:
    """A message of the output plugin."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Alive:
    """Everything up to `end` has been sent; what lies between was not for us."""

    end: int


class ReplicationConnection:
    """Runs commands before `start`, then yields what the slot sends."""

    def __init__(self, owner: "AsyncConnection[tuple[object, ...]]") -> None:
        self._owner = owner  # closes the socket when it is forgotten
        self._connection = owner.pgconn
        self._flushed = 0
        self._reported = 0.0

    @classmethod
    async def open(cls, url: str) -> "ReplicationConnection":
        """Raises `StreamBroken`."""
        conninfo = make_conninfo(
            url,
            replication="database",
            application_name="undercroft changes",
            connect_timeout=CONNECT_SECONDS,
            options=SESSION,
            keepalives_idle=2,
            keepalives_interval=1,
            keepalives_count=3,
            tcp_user_timeout=UNHEARD_MILLISECONDS,
        )
        # Not `PGconn.connect` in a thread: no other thread runs for as long as that takes.
        with _as_broken():
            return cls(await AsyncConnection.connect(conninfo, autocommit=True))

    async def run(self, command: str) -> list[list[str | None]]:
        """Rows of a command in the simple protocol. Raises `StreamBroken`."""
        with _as_broken():
            self._connection.send_query(command.encode())
            result = await self._result()
            while await self._result():
                pass
        if result is None or result.status not in {
            pq.ExecStatus.TUPLES_OK,
            pq.ExecStatus.COMMAND_OK,
        }:
            raise StreamBroken(self._connection.get_error_message())
        return [
            [_text(result.get_value(row, column)) for column in range(result.nfields)]
            for row in range(result.ntuples)
        ]

    async def start(self, slot: str, publications: str) -> None:
        command = (
            f"START_REPLICATION SLOT {slot} LOGICAL 0/0"
            f" (proto_version '1', publication_names '{publications}')"
        )
        with _as_broken():
            self._connection.send_query(command.encode())
            result = await self._result()
        if result is None or result.status != pq.ExecStatus.COPY_BOTH:
            raise StreamBroken(self._connection.get_error_message())

    async def messages(self) -> AsyncIterator[Logged | Alive | None]:
        """What the slot sends; None whenever nothing more has arrived yet."""
        connection = self._connection
        while True:
            with _as_broken():
                size, data = connection.get_copy_data(1)
            if size > 0:
                if (message := self._message(bytes(data))) is not None:
                    yield message
            elif size == 0:
                yield None
                await self._read()
                self._report_now_and_then()
            else:
                raise StreamBroken(connection.get_error_message() or "the server ended the stream")

    def _report_now_and_then(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._reported >= STATUS_SECONDS:
            self._reported = now
            self.report()

    def note(self, flushed: int) -> None:
        """From the next report on the server may forget what lies before."""
        self._flushed = max(self._flushed, flushed)

    def report(self) -> None:
        """Tell the server that we are alive, and up to where it may forget."""
        flushed = self._flushed
        status = _STATUS.pack(b"r", flushed, flushed, flushed, 0, 0)
        with _as_broken():
            self._connection.put_copy_data(status)
            self._connection.flush()

    def close(self) -> None:
        with suppress(Error):
            self._connection.finish()

    def _message(self, data: bytes) -> Logged | Alive | None:
        kind = data[:1]
        if kind == _DATA:
            return Logged(data[_DATA_HEAD.size :])
        if kind == _KEEPALIVE:
            _, end, _, answer_now = _KEEPALIVE_BODY.unpack(data)
            if answer_now:
                self.report()
            return Alive(end)
        return None

    async def _result(self) -> PGresult | None:
        connection = self._connection
        connection.flush()  # commands are short: the socket takes them at once
        while connection.is_busy():
            await self._read()
        return connection.get_result()

    async def _read(self) -> None:
        """Wait for bytes, for `STATUS_SECONDS` at most, and take in what is there.

        Even if we were not told of any: libuv forgets a socket that has an error (see
        `Pipeline._look`).
        """
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        descriptor = self._connection.socket
        loop.add_reader(descriptor, ready.set)
        try:
            async with asyncio.timeout(STATUS_SECONDS):
                await ready.wait()
        except TimeoutError:
            pass
        finally:
            loop.remove_reader(descriptor)
        with _as_broken():
            self._connection.consume_input()


@contextmanager
def _as_broken() -> Iterator[None]:
    """Turn libpq's errors into ours."""
    try:
        yield
    except Error as error:
        raise StreamBroken(str(error)) from error


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()
