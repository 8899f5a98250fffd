"""What `users` and `keys` need: identity over the engines that run or are started for it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from undercroft.cli.options import settings_for

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from undercroft.identity.parts import Identity
    from undercroft.identity.users.models import User

Result = TypeVar("Result")


def with_identity(
    home: Path | None,
    command: str,
    work: "Callable[[AsyncSession, Identity], Awaitable[Result]]",
) -> Result:
    """Run `work` in one transaction and return what it returns."""
    from undercroft.app import open_parts
    from undercroft.foundation.embedded import open_engines

    async def run() -> Result:
        async with (
            open_parts(settings) as (parts, identity),
            parts.database.unit_of_work() as session,
        ):
            return await work(session, identity)

    with open_engines(settings_for(home), command=command, existing=True) as settings:
        return asyncio.run(run())


async def find_user(session: "AsyncSession", identifier: str) -> "User":
    """Raises `UserNotFound`."""
    from undercroft.identity.users import queries
    from undercroft.identity.users.errors import UserNotFound
    from undercroft.identity.users.identifiers import parse_identifier

    user = await queries.find_user_by_identifier(session, parse_identifier(identifier))
    if user is None:
        raise UserNotFound
    return user


def described(user: "User") -> dict[str, Any]:
    """A user as `--json` shows one."""
    return {
        "id": str(user.id),
        "identifier": user.email or user.phone or user.username,
        "status": str(user.status),
    }
