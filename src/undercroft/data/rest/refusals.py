"""What can be done about a missing right, where policies and grants decide.

Words for a kind of thing and a role, never for the thing itself: Postgres' message names it, and
whoever is refused learns no more from a hint.
"""

import re

from undercroft.data.rest.errors import RestError

DENIED = re.compile(r"permission denied for ([a-z ]+?) ")
BY_KIND = {
    "table": "A policy for the role {role} opens a table of yours:"
    " POST …/tables/{{table}}/policies, or CREATE POLICY.",
    "view": "GRANT SELECT on the view to {role}; with (security_invoker = on) it shows what the"
    " policies of its tables do.",
    "materialized view": "GRANT SELECT on it to {role}: all of its rows are then open.",
    "sequence": "GRANT USAGE on the sequence to {role}.",
    "function": "GRANT EXECUTE on the function to {role}, or name the role in `roles` of"
    " …/functions.",
}
CHECKED = "new row violates row-level security policy"
OF_CHECK = (
    "No policy lets {role} write this row, or read it back where `return=representation` asks for"
    " it: see `check` and `using` of the table's policies."
)


def explain(error: RestError, role: str) -> None:
    """Give a refusal for want of rights a hint, if nobody gave it one."""
    if error.code != "42501" or error.hint is not None:
        return
    found = DENIED.match(error.message)
    hint = BY_KIND.get(found[1]) if found else None
    if error.message.startswith(CHECKED):
        hint = OF_CHECK
    if hint is not None:
        error.hint = hint.format(role=role)
