"""What webhooks count."""

from prometheus_client import Counter, Gauge

CALLS = Counter("undercroft_webhook_calls_total", "Calls of targets, by outcome.", ("outcome",))
DELIVERIES = Counter(
    "undercroft_webhook_deliveries_total", "Deliveries that came to an end.", ("state",)
)
WAITING = Gauge(
    "undercroft_webhook_deliveries_waiting",
    "Deliveries that wait for a call, when the pump last looked.",
    multiprocess_mode="mostrecent",
)
