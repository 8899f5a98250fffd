"""As whom a request about files runs: the Postgres role and claims that policies see."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor, Permission, Role

MANAGE = "storage:manage"
PERMISSIONS = (
    Permission(MANAGE, "See and change all buckets and files, past their policies; set quotas."),
)

# See migrations/repeated/storage_callers.sql.
ROWS = "SELECT r.* FROM undercroft.act_as_{role}(:claims, :template, :parts) AS r ({columns})"
COUNT = "SELECT undercroft.count_as_{role}(:claims, :template, :parts)"
PARTS = bindparam("parts", type_=ARRAY(Text))
PLACE = re.compile(r"(?<![:\w]):(\w+)")


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


async def rows_as(
    session: AsyncSession,
    caller: Caller,
    statement: str,
    values: Mapping[str, Any],
    *,
    columns: str,
) -> Sequence[Row[Any]]:
    """Run a statement as the caller. `columns` are the names and types of what it returns."""
    asked = text(ROWS.format(role=caller.role, columns=columns)).bindparams(PARTS)
    return (await session.execute(asked, _arguments(caller, statement, values))).all()


async def count_as(
    session: AsyncSession, caller: Caller, statement: str, values: Mapping[str, Any]
) -> int:
    """Run a statement that returns nothing as the caller, and count the rows that it met."""
    asked = text(COUNT.format(role=caller.role)).bindparams(PARTS)
    return int(await session.scalar(asked, _arguments(caller, statement, values)) or 0)


def _arguments(caller: Caller, statement: str, values: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: number for number, name in enumerate(values, 1)}
    template = PLACE.sub(
        lambda found: f"%{numbers[found[1]]}$L",  # quoted by Postgres
        statement.replace("%", "%%"),
    )
    parts = [as_text(value) for value in values.values()]
    return {"claims": caller.claims, "template": template, "parts": parts}


def as_text(value: Any) -> str | None:
    """A value as Postgres reads it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        quoted = (str(item).replace("\\", "\\\\").replace('"', '\\"') for item in value)
        return "{" + ",".join(f'"{item}"' for item in quoted) + "}"
    return str(value)
