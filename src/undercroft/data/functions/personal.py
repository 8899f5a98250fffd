"""What the versions of functions and triggers say about people."""

from undercroft.foundation.personal import PersonalData

PERSONAL = (
    PersonalData(
        "undercroft.definition_versions",
        "definitions",
        "SELECT to_jsonb(v) FROM undercroft.definition_versions v"
        " WHERE v.created_by = :id ORDER BY v.created_at",
        erase="UPDATE undercroft.definition_versions SET created_by = NULL WHERE created_by = :id",
    ),
)
