"""The database: engine and sessions, migrations, notifications, paging. No domain words."""

from undercroft.foundation.db.base import Base, Id, Timestamps, UtcDateTime
from undercroft.foundation.db.database import ControlConnection, Database, connect_options
from undercroft.foundation.db.listener import Listener, notify
from undercroft.foundation.db.paging import Page, PageRequest, Sorts, containing, paginate

__all__ = [
    "Base",
    "ControlConnection",
    "Database",
    "Id",
    "Listener",
    "Page",
    "PageRequest",
    "Sorts",
    "Timestamps",
    "UtcDateTime",
    "connect_options",
    "containing",
    "notify",
    "paginate",
]
