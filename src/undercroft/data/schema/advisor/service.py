"""Asks all rules."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.data.schema.advisor.catalogue import RULES as CATALOGUE_RULES
from undercroft.data.schema.advisor.catalogue import query_of
from undercroft.data.schema.advisor.findings import Finding, Rule
from undercroft.data.schema.advisor.policies import PER_ROW, UNINDEXED, Policy, look_at

RULES: tuple[Rule, ...] = (*CATALOGUE_RULES, PER_ROW, UNINDEXED)
POLICIES = text("""
    SELECT n.nspname AS schema, c.relname AS table, p.polname AS name,
           pg_get_expr(p.polqual, p.polrelid) AS using,
           pg_get_expr(p.polwithcheck, p.polrelid) AS check,
           ARRAY(SELECT a.attname::text FROM pg_index i
                   JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                  WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL) AS indexed
      FROM pg_policy p
      JOIN pg_class c ON c.oid = p.polrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE undercroft.is_exposed(n.nspname)
       AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
     ORDER BY 1, 2, 3
""")


async def advise(session: AsyncSession, schema: str | None) -> Sequence[Finding]:
    """Everything found in one schema or in all of the customer's, the worst first."""
    values = {"schema": schema}
    found: list[Finding] = []
    for rule in CATALOGUE_RULES:
        rows = await session.execute(text(query_of(rule.code)), values)
        found += [Finding(rule.code, rule.severity, *row) for row in rows]
    for row in (await session.execute(POLICIES, values)).mappings():
        found += look_at(Policy(**row))
    return sorted(found, key=lambda one: (-one.severity, one.code, one.object))
