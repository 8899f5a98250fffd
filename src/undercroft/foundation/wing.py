"""What one wing adds to the platform: each has a `wing.py` that says it, `wings.py` lists them."""

from collections.abc import Sequence
from dataclasses import dataclass

from undercroft.foundation.access import Permission
from undercroft.foundation.http.router import Router
from undercroft.foundation.jobs import Job, Listener, Schedule, Subscription
from undercroft.foundation.personal import PersonalData


@dataclass(frozen=True, kw_only=True)
class Wing:
    """`routers` lie under the control plane's prefix, `root_routers` at `/`."""

    routers: Sequence[Router] = ()
    root_routers: Sequence[Router] = ()
    permissions: Sequence[Permission] = ()
    jobs: Sequence[Job] = ()
    schedules: Sequence[Schedule] = ()
    subscriptions: Sequence[Subscription | Listener] = ()
    personal: Sequence[PersonalData] = ()
