"""Policies that nearly everyone writes, in the form that Postgres evaluates once a statement.

`(select auth.uid())` is a value to the planner, and so is `any (array(select …))`: both can be
looked up in an index, which `in (select …)` inside a policy cannot.
"""

from typing import assert_never

from undercroft.data.sql_text import quote, quote_literal
from undercroft.data.tables.errors import ColumnNotFound, TemplateUnfit
from undercroft.data.tables.policies.schemas import (
    Feature,
    HoldsPermission,
    OrganizationMember,
    Owner,
    PublicRead,
    Template,
)

CASTS = {"uuid": "", "text": "::text", "character varying": "::text"}


def condition(template: Template, types: dict[str, str]) -> str:
    """The SQL of a template; `types` are the table's columns."""
    match template:
        case Owner(column=column):
            return f"{quote(column)} = (SELECT auth.uid(){_cast(column, types)})"
        case OrganizationMember(column=column, roles=roles):
            cast = _cast(column, types)
            listed = quote_literal("{" + ",".join(roles) + "}") if roles else ""
            wanted = f"SELECT held{cast} FROM auth.orgs({listed}) AS held"  # noqa: S608 - quoted
            return f"{quote(column)} = ANY (ARRAY({wanted}))"
        case PublicRead():
            return "true"
        case Feature(feature=name):
            return f"(SELECT auth.feature({quote_literal(name)}))"
        case HoldsPermission(permission=name):
            return f"(SELECT auth.has({quote_literal(name)}))"
    assert_never(template)


def indexed_column(template: Template | None) -> str | None:
    """The column that statements under the policy are looked up by."""
    return template.column if isinstance(template, Owner | OrganizationMember) else None


def _cast(column: str, types: dict[str, str]) -> str:
    if column not in types:
        raise ColumnNotFound(column)
    kind = types[column].partition("(")[0]
    if kind not in CASTS:
        raise TemplateUnfit(column, types[column])
    return CASTS[kind]
