"""Places under supervision: who looks after them, and what was seen there.

Other apps use `SiteToRead`, `SiteToRun`, `Site` and the events (`undercroft.apps.sites`).
"""

from undercroft import App
from undercroft.apps.sites import routes, violation_routes
from undercroft.apps.sites.access import PERMISSIONS, LoadSite, Need, SiteToRead, SiteToRun
from undercroft.apps.sites.errors import SiteNotFound
from undercroft.apps.sites.events import WEBHOOKS
from undercroft.apps.sites.jobs import JOBS, SCHEDULES, SUBSCRIPTIONS
from undercroft.apps.sites.models import Site
from undercroft.apps.sites.personal import PERSONAL

APP = App(
    name="sites",
    package=__name__,
    summary="Sites of organizations, their users, violations with images.",
    routers=(routes.router, violation_routes.router),
    permissions=PERMISSIONS,
    jobs=JOBS,
    schedules=SCHEDULES,
    subscriptions=SUBSCRIPTIONS,
    personal=PERSONAL,
    webhooks=WEBHOOKS,
)

__all__ = ["APP", "LoadSite", "Need", "Site", "SiteNotFound", "SiteToRead", "SiteToRun"]
