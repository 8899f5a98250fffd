"""What belongs to the request being served, for logs, problems and the activity log."""

import time
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field

from undercroft.foundation.access import Actor


@dataclass(slots=True)
class RequestContext:
    """One request, filled in on its way: by the envelope, the door, the renderer of problems.

    `route` is the path with its parameters' names, `status` 0 until an answer is known, `success`
    the one that the route gives when all goes well, where there is one.
    """

    request_id: str
    plane: str = ""
    method: str = ""
    path: str = ""
    address: str | None = None
    headers: Sequence[tuple[bytes, bytes]] = ()
    route: str | None = None
    actor: Actor | None = None
    status: int = 0
    success: int = 0
    problem: str | None = None
    started: float = field(default_factory=time.perf_counter)

    def header(self, name: bytes) -> str | None:
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    @property
    def milliseconds(self) -> int:
        """Since the request came in."""
        return round((time.perf_counter() - self.started) * 1000)


_request: ContextVar[RequestContext | None] = ContextVar("request", default=None)
_work: ContextVar[str | None] = ContextVar("work", default=None)


def current_request() -> RequestContext | None:
    """None outside of requests: in jobs, on the command line."""
    return _request.get()


def request_id() -> str:
    request = _request.get()
    return request.request_id if request else "-"


def set_request(value: RequestContext | None) -> None:
    _request.set(value)


def current_work() -> str | None:
    """What acts where no request does: `job notifications.send`, `command line`."""
    return _work.get()


def set_work(name: str) -> None:
    _work.set(name)
