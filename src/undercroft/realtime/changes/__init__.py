"""Changes of watched tables, from Postgres' own log: in commit order, none missing, none twice.

await watch_table(session, "public", "orders")
await register_consumer(session, "webhooks")
...
async with unit_of_work() as session:
    taken = await take_changes(session, "webhooks")   # its place moves with this commit
    for change in taken.changes: ...
"""

from undercroft.realtime.changes.change import Change, ChangeType
from undercroft.realtime.changes.consumers import (
    Arrivals,
    Taken,
    forget_consumer,
    register_consumer,
    take_changes,
)
from undercroft.realtime.changes.cursor import Cursor
from undercroft.realtime.changes.tables import unwatch_table, watch_table
from undercroft.realtime.errors import TableNotWatchable

__all__ = [
    "Arrivals",
    "Change",
    "ChangeType",
    "Cursor",
    "TableNotWatchable",
    "Taken",
    "forget_consumer",
    "register_consumer",
    "take_changes",
    "unwatch_table",
    "watch_table",
]
