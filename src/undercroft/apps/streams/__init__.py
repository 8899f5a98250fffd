"""Streams of sites: where detectors look, when and for what. Organizations have a limit."""

from undercroft import App
from undercroft.apps.streams import routes
from undercroft.apps.streams.access import PERMISSIONS
from undercroft.apps.streams.events import WEBHOOKS

APP = App(
    name="streams",
    package=__name__,
    summary="Stream configurations of sites, limited per organization.",
    requires=("sites",),
    routers=(routes.site_router, routes.router, routes.limit_router),
    permissions=PERMISSIONS,
    webhooks=WEBHOOKS,
)

__all__ = ["APP"]
