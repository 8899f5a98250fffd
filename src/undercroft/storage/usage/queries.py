"""The statements about usage."""

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

READ = text("SELECT used_bytes, files, max_bytes FROM storage.usage WHERE organization_id = :id")
SET = text("""
    INSERT INTO storage.usage (organization_id, max_bytes) VALUES (:id, :max_bytes)
    ON CONFLICT (organization_id) DO UPDATE SET max_bytes = excluded.max_bytes
""")


async def read_usage(
    session: AsyncSession, organization_id: UUID, default_quota: int | None
) -> dict[str, Any]:
    row = (await session.execute(READ, {"id": organization_id})).one_or_none()
    used, files, own = tuple(row) if row else (0, 0, None)
    return {"used_bytes": used, "files": files, "max_bytes": default_quota if own is None else own}


async def set_quota(session: AsyncSession, organization_id: UUID, max_bytes: int | None) -> None:
    await session.execute(SET, {"id": organization_id, "max_bytes": max_bytes})
