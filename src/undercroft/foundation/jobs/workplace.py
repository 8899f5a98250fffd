"""What the composition root hands a worker process."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from undercroft.foundation.jobs.declaration import UnitOfWork
from undercroft.foundation.jobs.registry import JobRegistry
from undercroft.foundation.settings import Settings

# Work that lasts as long as the process: it returns when the event is set and looks after its own
# failures. Every worker of a cluster runs every resident, so those that must be alone elect one.
Resident = Callable[[asyncio.Event], Awaitable[None]]


@dataclass(frozen=True)
class Workplace:
    """The jobs, and what they work with. `services` are outside parties by name."""

    registry: JobRegistry
    unit_of_work: UnitOfWork
    services: Mapping[str, Any] = field(default_factory=dict)
    residents: Sequence[Resident] = ()


# Opened inside the worker's event loop and closed when its last job has ended.
OpenWorkplace = Callable[[Settings], AbstractAsyncContextManager[Workplace]]
