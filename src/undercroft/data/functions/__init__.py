"""Customers' functions and triggers, kept in versions."""

from undercroft.data.functions.personal import PERSONAL
from undercroft.data.functions.routes import PERMISSIONS, router, trigger_router

ROUTERS = (router, trigger_router)

__all__ = ["PERMISSIONS", "PERSONAL", "ROUTERS"]
