"""Customers' tables: create, change, protect by policies, fill."""

from undercroft.data.tables.routes import PERMISSIONS, router

__all__ = ["PERMISSIONS", "router"]
