"""What the console keeps about people."""

from undercroft.foundation.personal import PersonalData

PERSONAL = (
    PersonalData(
        "undercroft.sql_snippets",
        "sql_snippets",
        "SELECT to_jsonb(s) FROM undercroft.sql_snippets s"
        " WHERE s.user_id = :id ORDER BY s.created_at",
        erase="DELETE FROM undercroft.sql_snippets WHERE user_id = :id",
    ),
    # What was done to the database stays on record, by nobody.
    PersonalData(
        "undercroft.sql_runs",
        "sql_history",
        "SELECT to_jsonb(r) FROM undercroft.sql_runs r WHERE r.user_id = :id ORDER BY r.created_at",
        erase="UPDATE undercroft.sql_runs SET user_id = NULL, caller = 'erased'"
        " WHERE user_id = :id",
    ),
)
