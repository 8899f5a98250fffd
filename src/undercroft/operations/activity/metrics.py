"""What the activity log counts."""

from prometheus_client import Counter

REFUSED = Counter("undercroft_refusals_total", "Answers of 401 and 403.", ("plane", "status"))
EXPORTED = Counter("undercroft_activity_exported_total", "Entries handed out by exports.")
