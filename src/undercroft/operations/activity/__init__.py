"""The activity log: what happened, by whom, from where; written by the platform itself."""

from undercroft.operations.activity.jobs import JOBS, SCHEDULES
from undercroft.operations.activity.listener import SUBSCRIPTIONS
from undercroft.operations.activity.personal import PERSONAL
from undercroft.operations.activity.queries import count_unsealed
from undercroft.operations.activity.refusals import Refusals
from undercroft.operations.activity.routes import PERMISSIONS, router, user_router

__all__ = [
    "JOBS",
    "PERMISSIONS",
    "PERSONAL",
    "SCHEDULES",
    "SUBSCRIPTIONS",
    "Refusals",
    "count_unsealed",
    "router",
    "user_router",
]
