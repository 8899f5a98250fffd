"""What live changes count."""

from prometheus_client import Counter, Gauge, Histogram

CHANGES = Counter("undercroft_changes_logged_total", "Changes read from Postgres.", ("type",))
UNREAD_BYTES = Gauge(
    "undercroft_changes_unread_bytes",
    "How far the reader of changes is behind Postgres' log.",
    multiprocess_mode="mostrecent",
)
DELIVERY_SECONDS = Histogram(
    "undercroft_changes_delivery_seconds",
    "From a commit to the queues of the sockets.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 30),
)
RESYNCS = Counter("undercroft_changes_resyncs_total", "Channels told to read their rows anew.")
SOCKETS = Gauge("undercroft_sockets", "Open sockets.", multiprocess_mode="livesum")
CHANNELS = Gauge("undercroft_channels", "Joined channels.", multiprocess_mode="livesum")
JOINS = Counter("undercroft_channel_joins_total", "Joins by outcome.", ("outcome",))
MESSAGES = Counter("undercroft_socket_messages_total", "Messages from clients.", ("event",))
DROPPED = Counter("undercroft_sockets_dropped_total", "Sockets we closed, by reason.", ("reason",))
