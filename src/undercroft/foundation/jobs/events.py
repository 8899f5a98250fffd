"""Who hears of a fact: subscribers after the commit, listeners inside the transaction.

Events are frozen dataclasses named in the past tense (`UserSuspended`), declared by the domain
that publishes them.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.jobs.declaration import DEFAULT_TIMEOUT, Job, JobFunction
from undercroft.foundation.jobs.payload import Payload, payload_of_event

ListenerFunction = Callable[[AsyncSession, Any], Awaitable[None]]


@dataclass(frozen=True, eq=False)
class Subscription(Job):
    """A job that an event enqueues; it gets the event instead of ids."""

    event: type = object

    def _payload(self) -> Payload:
        return payload_of_event(self.name, self.event)


@dataclass(frozen=True, slots=True)
class Part:
    """What is to be written, in the driver's words, so that several fit into one statement.

    Every one of `statements` may use all `values`, as `$1`, `$2` and so on. A row of the query
    `unless` says that it takes a transaction of several statements after all. In a change, as
    opposed to what its news has others write, `step0` is what the first statement returns.
    `committed` is called when they are.
    """

    statements: tuple[str, ...]
    values: tuple[Any, ...]
    unless: str | None = None
    committed: Callable[[], None] | None = None


# From a part function: of this event only a unit of work will do.
LONGER = Part((), ())
PartFunction = Callable[[Any], Part | None]


@dataclass(frozen=True, eq=False)
class Listener:
    """Runs before the commit of the transaction that published, and fails it when it fails.

    `part` says the same as `function` does, for events whose price matters (`together.py`); None
    from it is nothing to say.
    """

    event: type
    function: ListenerFunction
    part: PartFunction | None = None


def subscribes(
    event: type,
    name: str,
    *,
    max_attempts: int | None = None,
    timeout: timedelta = DEFAULT_TIMEOUT,
) -> Callable[[JobFunction], Subscription]:
    """Declare an async function `(context, event)` that acts on each such event after its commit.

    `name` is its job's, so that every subscriber is retried alone.
    """

    def declare(function: JobFunction) -> Subscription:
        return Subscription(name, function, max_attempts, timeout, event)

    return declare


def listens(
    event: type, *, part: PartFunction | None = None
) -> Callable[[ListenerFunction], Listener]:
    """Declare an async function `(session, event)` that writes in the publisher's transaction.

    For what must exist exactly when the change does: the audit log, and the events that webhooks
    asked for. It hears subclasses too: `object` hears everything.
    """

    def declare(function: ListenerFunction) -> Listener:
        return Listener(event, function, part)

    return declare
