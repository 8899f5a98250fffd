"""What webhooks add to the platform; `wings.py` adds the listener, which knows the apps' events."""

from undercroft.foundation.wing import Wing
from undercroft.webhooks import jobs, personal, routes

WING = Wing(
    routers=(routes.router,),
    permissions=routes.PERMISSIONS,
    jobs=jobs.JOBS,
    schedules=jobs.SCHEDULES,
    personal=personal.PERSONAL,
)
