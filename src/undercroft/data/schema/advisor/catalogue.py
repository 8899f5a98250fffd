"""The rules that one look at the catalogue decides, each a query in `sql/` named by its code.

Such a query returns object, sentence and fix; `:schema` is one schema or null for all of yours.
"""

from functools import cache
from importlib.resources import files

from undercroft.data.schema.advisor.findings import Rule, Severity

RULES = (
    Rule(
        "row_security_off",
        Severity.ERROR,
        "API roles hold privileges on a table without row security: every row is open to them.",
    ),
    Rule(
        "no_policy",
        Severity.INFO,
        "A table with row security and no policy: nobody but the service key gets in.",
    ),
    Rule(
        "policy_always_true",
        Severity.ERROR,
        "A policy lets API roles write every row.",
    ),
    Rule(
        "policy_reads_itself",
        Severity.ERROR,
        "A policy reads its own table, by whatever way: Postgres refuses every request.",
    ),
    Rule(
        "view_past_row_security",
        Severity.ERROR,
        "A view without security_invoker reads its tables as its owner, past their policies.",
    ),
    Rule(
        "materialized_view_exposed",
        Severity.WARNING,
        "API roles read a materialised view, which has no row security.",
    ),
    Rule(
        "secret_exposed",
        Severity.ERROR,
        "API roles read a column that by its name holds a secret.",
    ),
    Rule(
        "definer_search_path",
        Severity.WARNING,
        "A SECURITY DEFINER function finds names on its caller's search path.",
    ),
    Rule(
        "definer_callable_by_anon",
        Severity.WARNING,
        "People who are not signed in may call a function that runs with its owner's rights.",
    ),
    Rule(
        "function_open_to_everybody",
        Severity.INFO,
        "Nobody decided who may call a function, so that everybody may, signed in or not.",
    ),
    Rule(
        "foreign_key_without_index",
        Severity.WARNING,
        "Deleting or joining through a foreign key reads the whole table.",
    ),
    Rule(
        "duplicate_index",
        Severity.WARNING,
        "Two indexes are the same; every write pays for both.",
    ),
    Rule(
        "index_behind_policy",
        Severity.WARNING,
        "Row security keeps callers' filters from using an index, whose comparisons may leak.",
    ),
    Rule(
        "unused_index",
        Severity.INFO,
        "An index of some size was not used since statistics began.",
    ),
    Rule(
        "no_primary_key",
        Severity.WARNING,
        "Rows of a table without a primary key cannot be named, upserted or replicated.",
    ),
    Rule(
        "sequence_near_end",
        Severity.ERROR,
        "A numbered column has used up most of what its type can count.",
    ),
)


@cache
def query_of(code: str) -> str:
    return files("undercroft.data.schema.advisor").joinpath("sql", f"{code}.sql").read_text("utf-8")
