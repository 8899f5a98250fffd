"""Customers' tables: create, change, protect by policies, fill."""

from undercroft.data.tables.constraints import routes as constraint_routes
from undercroft.data.tables.indexes import routes as index_routes
from undercroft.data.tables.indexes.jobs import build_index
from undercroft.data.tables.policies import routes as policy_routes
from undercroft.data.tables.routes import PERMISSIONS as TABLE_PERMISSIONS
from undercroft.data.tables.routes import router
from undercroft.data.tables.rows import routes as row_routes
from undercroft.data.tables.transfer import routes as transfer_routes

ROUTERS = (
    router,
    policy_routes.router,
    index_routes.router,
    constraint_routes.router,
    transfer_routes.router,
    row_routes.router,
)
PERMISSIONS = (
    *TABLE_PERMISSIONS,
    *policy_routes.PERMISSIONS,
    *transfer_routes.PERMISSIONS,
    *row_routes.PERMISSIONS,
)
JOBS = (build_index,)

__all__ = ["JOBS", "PERMISSIONS", "ROUTERS"]
