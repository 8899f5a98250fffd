"""What operations add to the platform."""

from undercroft.foundation.http import docs_pages
from undercroft.foundation.wing import Wing
from undercroft.operations import activity, dashboard, health

WING = Wing(
    routers=(activity.user_router, activity.router, dashboard.router, health.control),
    root_routers=(health.root, docs_pages.router),
    permissions=(*activity.PERMISSIONS, *dashboard.PERMISSIONS, *health.PERMISSIONS),
    jobs=activity.JOBS,
    schedules=activity.SCHEDULES,
    subscriptions=activity.SUBSCRIPTIONS,
    personal=activity.PERSONAL,
)
