"""A way past ASGI for answers that are made without waiting for anything but the database.

A task, its context and a dozen coroutines cost as much as all else that a small read needs. Who
takes the shortcut only ever succeeds on it: whatever turns out otherwise, a refusal, a failure, a
session that is lost, starts over on the ordinary way, as if nothing had been tried. Where something
has been done for good, who starts over leaves word of it in the scope.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from starlette.types import Scope

Headers = Sequence[tuple[bytes, bytes]]


class Reply(Protocol):
    """Takes an answer to a request, whole, or has it answered on the ordinary way."""

    @property
    def body(self) -> bytes | bytearray:
        """All that came with the request."""

    def answer(self, status: int, headers: Headers, body: bytes, ready: bytes = b"") -> None:
        """Answer. `ready` are more headers, whole lines that are known to be good."""

    def start_over(self) -> None: ...


class Underway(Protocol):
    """An answer that is being made. `leave` it when nobody waits for it any more."""

    def leave(self) -> None: ...


# None means that this request goes the ordinary way; nothing has been done yet.
Shortcut = Callable[[Scope, Reply], Underway | None]
