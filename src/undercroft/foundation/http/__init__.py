"""HTTP for both planes: doors, problems, headers, limits. No domain words."""

from undercroft.foundation.http.dependencies import CurrentActor, Foundation, Parts, Session
from undercroft.foundation.http.paging import PageQuery
from undercroft.foundation.http.router import Router

__all__ = ["CurrentActor", "Foundation", "PageQuery", "Parts", "Router", "Session"]
