"""HTTP for both planes: doors, problems, headers, limits. No domain words."""

from undercroft.foundation.http.dependencies import (
    CurrentActor,
    Foundation,
    OpenSession,
    Parts,
    Session,
)
from undercroft.foundation.http.paging import Counted, PageQuery, searched_by, sorted_by
from undercroft.foundation.http.presence import Waiting
from undercroft.foundation.http.router import Router

__all__ = [
    "Counted",
    "CurrentActor",
    "Foundation",
    "OpenSession",
    "PageQuery",
    "Parts",
    "Router",
    "Session",
    "Waiting",
    "searched_by",
    "sorted_by",
]
