"""A connection that sends several statements at once: the pipeline mode of libpq.

What is queued up to a `sync` goes out together, is one transaction unless a BEGIN says otherwise,
and is answered together. asyncpg waits for every statement, so that becoming somebody, doing one
thing and leaving nothing behind is four round trips with it, and one here.
"""

import asyncio
import time
from asyncio import Future
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from psycopg import AsyncConnection, Error, OperationalError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult

from undercroft.foundation.db.silence import LIBPQ

_TEXT, _BINARY = 0, 1
# As numbers: to compare members of an enumeration takes longer than to ask libpq for one.
_FAILED, _SYNCED, _IDLE = map(
    int, (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_SYNC, TransactionStatus.IDLE)
)
_NOT_TEXT = "22021"  # character_not_in_repertoire
_NOT_VALID = "22023"  # invalid_parameter_value
_LOOK_EVERY = 0.5
_MOST_VALUES = 65_535  # the protocol counts them in two bytes


class StatementFailed(Exception):  # noqa: N818 - says what happened
    """The server refused a statement or the commit, and kept nothing of the transaction.

    The fields are those of the protocol (PostgreSQL's documentation, Error and Notice Message
    Fields); `position` counts the statements sent together that had succeeded before.
    """

    def __init__(
        self,
        sqlstate: str,
        message: str,
        detail: str | None = None,
        hint: str | None = None,
        *,
        position: int = 0,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position


class ConnectionLost(Exception):  # noqa: N818 - says what happened
    """There is no connection, or no longer. Whether what was sent has happened is unknown."""


class PasswordRefused(ConnectionLost):
    """The server heard our password and did not let us in."""


def encode(values: Sequence[str | None]) -> list[bytes | None]:
    """Encode texts. Raises StatementFailed for what no text of a server can be, and too many.

    libpq would end a value at its first NUL, and a connection that it cannot count them for.
    """
    if len(values) > _MOST_VALUES:
        raise StatementFailed(_NOT_VALID, f"More than {_MOST_VALUES} values")
    try:
        encoded = [None if value is None else value.encode() for value in values]
    except UnicodeEncodeError as error:
        raise StatementFailed(_NOT_TEXT, "A value is not valid Unicode") from error
    for value in encoded:
        if value is not None and b"\0" in value:
            raise StatementFailed(_NOT_TEXT, 'invalid byte sequence for encoding "UTF8": 0x00')
    return encoded


class Receiver(Protocol):
    """What of a future an answer needs."""

    def done(self) -> bool: ...
    def set_result(self, results: list[PGresult], /) -> None: ...
    def set_exception(self, error: Exception, /) -> None: ...


class Pipeline:
    """One connection. Queue statements, `sync`, and await the answers.

    What is queued after a `sync` is the next transaction, even while answers are awaited.

    Values go as text (see `encode`), which the server reads by the type it has inferred for their
    place. Answers come in binary form, in which a text is its bytes in UTF-8.
    """

    def __init__(self, owner: "AsyncConnection[tuple[object, ...]]") -> None:
        self._owner = owner  # closes the socket when it is forgotten
        self._connection = owner.pgconn
        self._socket = owner.pgconn.socket
        self._loop = asyncio.get_running_loop()
        self._answers: deque[Receiver] = deque()  # in the order they will come
        self._results: list[PGresult] = []
        self.queued = 0  # statements that wait to be sent
        # When something was last heard, or first asked for after a silence, and how many seconds
        # the answer has taken that is handed out.
        self.heard = self.took = 0.0
        self.closed = False
        self._looking: asyncio.TimerHandle | None = None
        self._connection.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._read)

    @classmethod
    async def open(
        cls, conninfo: str, settings: Mapping[str, str], *, timeout: float
    ) -> "Pipeline":
        """Connect within `timeout` seconds, with `settings` for the session.

        Raises ConnectionLost.
        """
        settings = dict(settings)
        defaults: dict[str, Any] = LIBPQ | {
            "fallback_application_name": settings.pop("application_name", "undercroft"),
            "connect_timeout": max(2, round(timeout)),
        }
        try:
            parameters = defaults | conninfo_to_dict(conninfo)
            parameters["client_encoding"] = "utf8"
            if settings:
                parameters["options"] = f"{parameters.get('options', '')} {_options(settings)}"
            owner = await AsyncConnection.connect(make_conninfo(**parameters), autocommit=True)
        except Error as error:
            heard = error.pgconn is not None and error.pgconn.used_password
            raise (PasswordRefused if heard else ConnectionLost)(str(error)) from error
        return cls(owner)

    @property
    def busy(self) -> bool:
        """Whether an answer is under way, though nobody may wait for it any more."""
        return bool(self._answers)

    @property
    def at_rest(self) -> bool:
        """Whether no transaction is open and nothing waits to be sent."""
        idle = self._connection.transaction_status == _IDLE
        return idle and self.queued == 0 and not self._answers

    def prepare(self, name: str, sql: str) -> None:
        self._send(self._connection.send_prepare, name.encode(), sql.encode())

    def execute(self, name: str, values: Sequence[bytes | None] = ()) -> None:
        """Run a prepared statement."""
        self._send(self._connection.send_query_prepared, name.encode(), values, None, _BINARY)

    def query(self, sql: str, values: Sequence[bytes | None] = (), *, binary: bool = False) -> None:
        """Run a statement that is not prepared; `binary` says that its values are no texts."""
        formats = [_BINARY if binary else _TEXT] * len(values)
        self._send(self._connection.send_query_params, sql.encode(), values, None, formats, _BINARY)

    def sync(self) -> "Future[list[PGresult]]":
        """Send what is queued. Answers come one for each statement, all of them successes.

        The future raises StatementFailed or ConnectionLost. What nobody waits for any more is done
        nevertheless, unless the connection is closed by `cancel` or `close`.
        """
        answer: Future[list[PGresult]] = self._loop.create_future()
        self.sync_for(answer)
        return answer

    def sync_for(self, answer: Receiver) -> None:
        """As `sync`, with the answer given to a receiver of your own as soon as it is there."""
        self._send(self._connection.pipeline_sync)
        self.queued = 0
        if not self._answers:
            self.heard = time.perf_counter()
        self._answers.append(answer)
        if self._looking is None:
            self._looking = self._loop.call_later(_LOOK_EVERY, self._look)
        if self._flush():
            self._loop.add_writer(self._socket, self._write)

    def hold_up(self, error: Exception) -> None:
        """Raise `error` for all who wait behind the answer that is being made."""
        for answer in list(self._answers)[1:]:
            if not answer.done():
                answer.set_exception(error)

    async def interrupt(self) -> None:
        """Have the server stop what it does for us now: that fails, what is behind it goes on."""
        with suppress(Error):
            await asyncio.to_thread(self._connection.get_cancel().cancel)

    async def cancel(self) -> None:
        """Have the server stop what it does for us, and close."""
        await self.interrupt()
        self.close()

    def close(self) -> None:
        if self.closed:
            return  # and its socket's number may be somebody else's
        self.closed = True
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._connection.finish()
        self._break_off(ConnectionLost("The connection was closed."))

    def _send(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            function(*arguments)
        except OperationalError as error:
            self._lose(error)
            raise ConnectionLost(str(error)) from error
        self.queued += 1

    def _write(self) -> None:
        """Write what the socket did not take before."""
        if not self._flush() and not self.closed:
            self._loop.remove_writer(self._socket)

    def _flush(self) -> bool:
        """Write as much as the socket takes, and say whether something is left."""
        try:
            return bool(self._connection.flush())
        except OperationalError as error:
            self._lose(error)
            return False

    def _look(self) -> None:
        """Read without being told to.

        libuv forgets a socket that has an error, such as one whose server ended with something
        unread, and never tells us (`uv_poll_t` in its documentation).
        """
        self._looking = None
        if self._answers:
            self._read()
        if self._answers:
            self._looking = self._loop.call_later(_LOOK_EVERY, self._look)

    def _read(self) -> None:
        connection = self._connection
        finished: list[tuple[Receiver, list[PGresult]]] = []
        try:
            connection.consume_input()
            while self._answers and not connection.is_busy():
                result = connection.get_result()
                if result is None:  # stands between two statements
                    if connection.status == ConnStatus.BAD:  # and after what is no protocol
                        self._lose(OperationalError(connection.get_error_message()))
                    continue
                if result.status == _SYNCED:
                    finished.append((self._answers.popleft(), self._results))
                    self._results = []
                    continue
                self._results.append(result)
        except OperationalError as error:
            self._lose(error)
        pace = 0.0
        if finished:
            now = time.perf_counter()
            pace = (now - self.heard) / sum(len(results) or 1 for _, results in finished)
            self.heard = now
        for answer, results in finished:
            if answer.done():
                continue
            self.took = pace * len(results)
            failure = _failure(results)
            if failure is None:
                answer.set_result(results)
            else:
                answer.set_exception(failure)

    def _lose(self, error: Error) -> None:
        """Close; a server that goes says why in its last answer."""
        reason = _failure(self._results)
        if reason and self._answers and not (answer := self._answers.popleft()).done():
            answer.set_exception(reason)
        self._break_off(ConnectionLost(str(error)))
        self.close()

    def _break_off(self, reason: ConnectionLost) -> None:
        while self._answers:
            if not (answer := self._answers.popleft()).done():
                answer.set_exception(reason)


def _options(settings: Mapping[str, str]) -> str:
    """Write settings as libpq's `options`, where spaces part and backslashes escape."""
    return " ".join(
        f"-c {name}=" + value.replace("\\", "\\\\").replace(" ", "\\ ")
        for name, value in settings.items()
    )


def _failure(results: Sequence[PGresult]) -> StatementFailed | None:
    for position, result in enumerate(results):
        if result.status == _FAILED:
            return StatementFailed(
                _field(result, DiagnosticField.SQLSTATE) or "XX000",
                _field(result, DiagnosticField.MESSAGE_PRIMARY) or "The server gave no reason.",
                _field(result, DiagnosticField.MESSAGE_DETAIL),
                _field(result, DiagnosticField.MESSAGE_HINT),
                position=position,
            )
    return None


def _field(result: PGresult, name: DiagnosticField) -> str | None:
    value = result.error_field(name)
    return None if value is None else value.decode(errors="replace")
