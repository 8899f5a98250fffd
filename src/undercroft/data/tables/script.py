"""A table as the SQL that makes it again, from its columns to its comments.

What it needs and does not make: its schema, types of yours, trigger functions, other tables.
"""

from functools import cache
from importlib.resources import files

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.tables.queries import Table

# With an empty search path Postgres writes every name in full.
SWITCH = text("""
    SELECT before.path
      FROM (SELECT current_setting('search_path') AS path) AS before,
           LATERAL set_config('search_path', :path, true) AS after
""")


@cache
def _sql() -> str:
    return files("undercroft.data.tables").joinpath("sql", "script.sql").read_text("utf-8")


async def write_script(session: AsyncSession, table: Table) -> str:
    before = await session.scalar(SWITCH, {"path": ""})
    statements = list(await session.scalars(text(_sql()), {"oid": table.oid}))
    await session.scalar(SWITCH, {"path": before})
    return "".join(f"{statement};\n" for statement in statements)
