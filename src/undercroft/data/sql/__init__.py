"""The SQL console: scripts of developers, run as a role that knows nothing of our schemas."""

from undercroft.data.sql.jobs import JOBS, SCHEDULES
from undercroft.data.sql.personal import PERSONAL
from undercroft.data.sql.routes import PERMISSIONS, router

__all__ = ["JOBS", "PERMISSIONS", "PERSONAL", "SCHEDULES", "router"]
