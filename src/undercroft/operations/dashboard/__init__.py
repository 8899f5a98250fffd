"""The dashboard: statistics over what the domains count."""

from undercroft.operations.dashboard.forgetting import forgetting
from undercroft.operations.dashboard.routes import PERMISSIONS, router
from undercroft.operations.dashboard.statistics import Statistics

__all__ = ["PERMISSIONS", "Statistics", "forgetting", "router"]
