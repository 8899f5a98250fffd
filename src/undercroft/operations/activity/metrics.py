"""What the activity log counts."""

from functools import lru_cache
from typing import Any

from prometheus_client import Counter

from undercroft.identity.auth.events import SessionStarted, SignInFailed

REFUSED = Counter("undercroft_refusals_total", "Answers of 401 and 403.", ("plane", "status"))
EXPORTED = Counter("undercroft_activity_exported_total", "Entries handed out by exports.")
EVENTS = Counter("undercroft_events_total", "Facts that domains announced, by kind.", ("event",))
SIGN_INS = Counter(
    "undercroft_sign_ins_total", "Sign-ins and failed ones, by method.", ("method", "outcome")
)


def count_event(event: Any) -> None:
    """Counted before its commit, which hardly ever fails: good for rates, not for accounts."""
    _counter_of(type(event).__name__).inc()
    if isinstance(event, SessionStarted):
        SIGN_INS.labels(event.method, "succeeded").inc()
    elif isinstance(event, SignInFailed):
        SIGN_INS.labels(event.method, "failed").inc()


@lru_cache(maxsize=256)
def _counter_of(kind: str) -> Counter:
    """To be asked for each time takes twice as long as to count."""
    return EVENTS.labels(kind)
