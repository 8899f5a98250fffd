"""As whom a request about files runs: the Postgres role and claims that policies see."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor, Permission, Role

MANAGE = "storage:manage"
PERMISSIONS = (
    Permission(MANAGE, "See and change all buckets and files, past their policies; set quotas."),
)

ENTER = text("SELECT undercroft.storage_enter(:role, :claims)")
LEAVE = text("SELECT set_config('role', 'none', true)")


@dataclass(frozen=True, slots=True)
class Caller:
    """`owner_id` is what the files they make carry, `name` who may continue their uploads."""

    role: str
    claims: str
    name: str
    user_id: UUID | None = None
    organization_id: UUID | None = None

    @property
    def owner_id(self) -> str | None:
        return str(self.user_id) if self.user_id else None

    @property
    def manages_all(self) -> bool:
        return self.role == Role.SERVICE.value


SYSTEM = Caller(Role.SERVICE.value, '{"role":"service_role"}', "system")


def caller_of(actor: Actor) -> Caller:
    """Whoever manages all files passes row security as the service key does."""
    role = Role.SERVICE if actor.has(MANAGE) else actor.role
    return Caller(role.value, actor.claims, actor.name, actor.user_id, actor.organization_id)


@asynccontextmanager
async def acting_as(session: AsyncSession, caller: Caller) -> AsyncIterator[None]:
    """Run the statements of the block as the caller; afterwards we are ourselves again.

    When the block raises, the transaction is lost anyway, and the role with it.
    """
    await session.execute(ENTER, {"role": caller.role, "claims": caller.claims})
    yield
    await session.execute(LEAVE)
