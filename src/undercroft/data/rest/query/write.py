"""SQL of inserts, updates and deletes, returning what the read around them needs."""

from undercroft.data.rest.plan.tree import Resolved
from undercroft.data.rest.plan.write import Delete, Insert, Update, Write
from undercroft.data.rest.query.body import from_body
from undercroft.data.rest.query.fields import column, condition
from undercroft.data.rest.query.sql import comma, ident, qualified
from undercroft.data.schema.model import QualifiedName

# ruff: noqa: S608 - all SQL here is made of quoted names and slots

INSERTED = "undercroft.inserted"


def write(plan: Write) -> str:
    match plan:
        case Insert():
            return _insert(plan)
        case Update():
            return _update(plan)
        case Delete():
            return (
                f"DELETE FROM {qualified(plan.table)}"
                f"{_where(plan.table, plan.conditions)}{_returning(plan.table, plan.returning)}"
            )


def inserted() -> str:
    """Read how many rows an upsert added rather than updated."""
    return f"nullif(current_setting('{INSERTED}', true), '')::bigint"


def _insert(plan: Insert) -> str:
    names = [ident(item.name) for item in plan.body.columns]
    columns = f" ({comma(names)})" if names else ""
    values = comma([f"pgrst_body.{name}" for name in names])
    conditions = [_count_inserted("+")] if plan.merge else []
    conditions += [condition("pgrst_body", item) for item in plan.matching]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return (
        f"INSERT INTO {qualified(plan.table)}{columns}"
        f" SELECT {values} FROM {from_body(plan.body)}{where}"
        f"{_on_conflict(plan, names)}{_returning(plan.table, plan.returning)}"
    )


def _on_conflict(plan: Insert, names: list[str]) -> str:
    if not plan.on_conflict:
        return ""
    target = f" ON CONFLICT ({comma([ident(name) for name in plan.on_conflict])})"
    if not plan.merge or not names:
        return f"{target} DO NOTHING"
    sets = comma([f"{name} = EXCLUDED.{name}" for name in names])
    return f"{target} DO UPDATE SET {sets} WHERE {_count_inserted('-')}"


def _count_inserted(sign: str) -> str:
    """Count a row on its way in, and off again when it turns out to be an update.

    It is always true: a setting is the one thing both sides of ON CONFLICT can write to.
    """
    counted = f"coalesce({inserted()}, 0) {sign} 1"
    return f"set_config('{INSERTED}', ({counted})::text, true) IS NOT NULL"


def _update(plan: Update) -> str:
    if not plan.body.columns:
        # Nothing to set is not valid SQL. No rows, with the columns the read expects.
        columns = comma([column(qualified(plan.table), name) for name in plan.returning]) or "NULL"
        return f"SELECT {columns} FROM {qualified(plan.table)} WHERE false"
    sets = comma(
        [f"{ident(item.name)} = pgrst_body.{ident(item.name)}" for item in plan.body.columns]
    )
    return (
        f"UPDATE {qualified(plan.table)} SET {sets} FROM {from_body(plan.body)}"
        f"{_where(plan.table, plan.conditions)}{_returning(plan.table, plan.returning)}"
    )


def _where(table: QualifiedName, conditions: tuple[Resolved, ...]) -> str:
    parts = [condition(qualified(table), item) for item in conditions]
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _returning(table: QualifiedName, names: tuple[str, ...]) -> str:
    columns = comma([column(qualified(table), name) for name in names])
    return f" RETURNING {columns or '1'}"
