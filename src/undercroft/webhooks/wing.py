"""What webhooks add to the platform."""

from undercroft.foundation.wing import Wing
from undercroft.webhooks import jobs, listener, personal, routes

WING = Wing(
    routers=(routes.router,),
    permissions=routes.PERMISSIONS,
    jobs=jobs.JOBS,
    schedules=jobs.SCHEDULES,
    subscriptions=listener.SUBSCRIPTIONS,
    personal=personal.PERSONAL,
)
