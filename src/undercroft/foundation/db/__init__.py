"""The database: engine and sessions, migrations, notifications, paging. No domain words."""

from undercroft.foundation.db.base import Base, Id, Timestamps, UtcDateTime
from undercroft.foundation.db.convoy import UNWAITED, Convoy, NotCarried
from undercroft.foundation.db.database import (
    ControlConnection,
    Database,
    WatchedConnection,
    connect_options,
    fetch_within,
)
from undercroft.foundation.db.listener import Listener, notify
from undercroft.foundation.db.paging import Page, PageRequest, Sorts, containing, paginate
from undercroft.foundation.db.pipeline import (
    ConnectionLost,
    PasswordRefused,
    Pipeline,
    Receiver,
    StatementFailed,
    encode,
)

__all__ = [
    "UNWAITED",
    "Base",
    "ConnectionLost",
    "ControlConnection",
    "Convoy",
    "Database",
    "Id",
    "Listener",
    "NotCarried",
    "Page",
    "PageRequest",
    "PasswordRefused",
    "Pipeline",
    "Receiver",
    "Sorts",
    "StatementFailed",
    "Timestamps",
    "UtcDateTime",
    "WatchedConnection",
    "connect_options",
    "containing",
    "encode",
    "fetch_within",
    "notify",
    "paginate",
]
