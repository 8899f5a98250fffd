"""What the log holds about people: ids, addresses and devices, never names."""

from undercroft.foundation.personal import PersonalData

PERSONAL = (
    PersonalData(
        "operations.activity",
        name="activity",
        export="""
            SELECT jsonb_strip_nulls(to_jsonb(a)) FROM operations.activity a
             WHERE a.user_id = :id ORDER BY a.created_at, a.id LIMIT 10000
        """,
        kept_because="A log that can be erased proves nothing. It names accounts by id alone, and "
        "retention takes the entries with their addresses away.",
    ),
)
