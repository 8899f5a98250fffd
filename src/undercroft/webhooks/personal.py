"""What webhooks keep about people."""

from undercroft.foundation.personal import PersonalData

PERSONAL = (
    # The webhook is the platform's and goes on; payloads name people by their ids only, and go
    # with the retention.
    PersonalData(
        "webhooks.webhooks",
        "webhooks",
        "SELECT jsonb_build_object('id', w.id, 'name', w.name, 'url', w.url,"
        " 'created_at', w.created_at)"
        " FROM webhooks.webhooks w WHERE w.created_by = :id ORDER BY w.created_at",
        erase="UPDATE webhooks.webhooks SET created_by = NULL WHERE created_by = :id",
    ),
)
