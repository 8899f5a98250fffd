"""What makes the kept statistics old."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.cache import CachedReads
from undercroft.foundation.jobs import LONGER, Listener, Part
from undercroft.identity.access.events import GroupChanged, UserGroupsChanged
from undercroft.identity.auth.events import ContactVerified, SessionStarted
from undercroft.identity.users.events import (
    RegistrationRepeated,
    UserCreated,
    UserErased,
    UserStatusChanged,
    UserUpdated,
)
from undercroft.operations.dashboard.statistics import NAMESPACE

CHANGES = (
    ContactVerified,
    GroupChanged,
    RegistrationRepeated,  # counts nowhere, but may not be answered sooner than what does
    SessionStarted,
    UserCreated,
    UserErased,
    UserGroupsChanged,
    UserStatusChanged,
    UserUpdated,
)


def forgetting(reads: CachedReads) -> tuple[Listener, ...]:
    """Listeners that have the cache forget the statistics when a change commits.

    While Valkey is away nobody signs up more slowly for a statistic: nothing is promised then, and
    what Valkey may bring back is a minute old at most.
    """

    async def forget(session: AsyncSession, event: Any) -> None:
        if _matters(event):
            await reads.written(session, NAMESPACE, promised=False)

    return tuple(Listener(kind, forget, _part) for kind in CHANGES)


def _matters(event: Any) -> bool:
    return not isinstance(event, SessionStarted) or event.first


def _part(event: Any) -> Part | None:
    return LONGER if _matters(event) else None
