"""What handlers ask for in their signatures, and the parts they are served from."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.cache import Cache, CachedReads, RateLimiter
from undercroft.foundation.crypto import Keyring
from undercroft.foundation.db import Database, Listener
from undercroft.foundation.settings import Settings

# Finds out who calls from the request's headers; identity provides it.
# Raises `Unauthorized` for bad credentials, returns ANONYMOUS for none.
Probe = Callable[[], Awaitable[None]]
Authenticate = Callable[[Request], Awaitable[Actor]]


@dataclass(slots=True)
class Foundation:
    """The long-lived parts of one process, built by `create_app`."""

    settings: Settings
    keyring: Keyring
    database: Database
    listener: Listener
    cache: Cache
    cached_reads: CachedReads
    limiter: RateLimiter
    authenticate: Authenticate
    stopping: bool = False
    # What else a node depends on, by name: asks for real and raises when there is no good answer.
    # Wings add theirs in `app.py`; `/health/{name}` on the control plane and /metrics tell.
    probes: dict[str, Probe] = field(default_factory=dict)
    # Turns of requests with an Idempotency-Key.
    once: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.once = asyncio.Semaphore(max(1, self.settings.database.pool_size // 3))


async def get_parts(request: Request) -> Foundation:
    parts: Foundation = request.app.state.parts
    return parts


Parts = Annotated[Foundation, Depends(get_parts)]


async def get_session(request: Request) -> AsyncSession:
    """The request's one transaction; `Door` opens it and commits before the answer leaves."""
    session: AsyncSession = request.state.session
    return session


async def get_open_session(request: Request) -> AsyncSession | None:
    """The transaction that an Idempotency-Key keeps its answer in, for who opens none otherwise."""
    return getattr(request.state, "session", None)


async def get_actor(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


async def get_cached_reads(parts: Parts) -> CachedReads:
    return parts.cached_reads


Session = Annotated[AsyncSession, Depends(get_session)]
OpenSession = Annotated[AsyncSession | None, Depends(get_open_session)]
CurrentActor = Annotated[Actor, Depends(get_actor)]
Reads = Annotated[CachedReads, Depends(get_cached_reads)]
