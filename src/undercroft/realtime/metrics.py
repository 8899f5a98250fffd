"""What live changes count."""

from prometheus_client import Counter, Gauge

CHANGES = Counter("undercroft_changes_logged_total", "Changes read from Postgres.", ("type",))
UNREAD_BYTES = Gauge(
    "undercroft_changes_unread_bytes",
    "How far the reader of changes is behind Postgres' log.",
    multiprocess_mode="mostrecent",
)
