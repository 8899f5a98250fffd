"""What the composition root hands a worker process."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from undercroft.foundation.jobs.declaration import UnitOfWork
from undercroft.foundation.jobs.registry import JobRegistry
from undercroft.foundation.settings import Settings


@dataclass(frozen=True)
class Workplace:
    """The jobs, and what they work with. `services` are outside parties by name."""

    registry: JobRegistry
    unit_of_work: UnitOfWork
    services: Mapping[str, Any] = field(default_factory=dict)


# Opened inside the worker's event loop and closed when its last job has ended.
OpenWorkplace = Callable[[Settings], AbstractAsyncContextManager[Workplace]]
