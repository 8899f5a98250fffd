"""What live changes add to the platform."""

from undercroft.foundation.wing import Wing
from undercroft.realtime import jobs, routes

WING = Wing(
    routers=(routes.router, routes.status_router),
    permissions=routes.PERMISSIONS,
    jobs=jobs.JOBS,
    schedules=jobs.SCHEDULES,
)
