"""A table as the SQL that makes it again, from its columns to its comments.

What it needs and does not make: its schema, types of yours, trigger functions, other tables.
"""

from functools import cache
from importlib.resources import files

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.tables.queries import Table


@cache
def _sql() -> str:
    return files("undercroft.data.tables").joinpath("sql", "script.sql").read_text("utf-8")


async def write_script(session: AsyncSession, table: Table) -> str:
    # On our search path Postgres writes every name in full.
    statements = list(await session.scalars(text(_sql()), {"oid": table.oid}))
    return "".join(f"{statement};\n" for statement in statements)
