"""The media catalogue: authors and their works, read by everybody, written by moderators."""

from undercroft import App
from undercroft.apps.catalog import authors, works
from undercroft.apps.catalog.access import PERMISSIONS
from undercroft.apps.catalog.events import WEBHOOKS
from undercroft.apps.catalog.queries import describe_search

APP = App(
    name="catalog",
    package=__name__,
    summary="Authors, movies and series, with search and cached reads.",
    routers=(authors.router, works.movies, works.series),
    permissions=PERMISSIONS,
    webhooks=WEBHOOKS,
    commands="undercroft.apps.catalog.commands:app",
    health={"search": describe_search},
)

__all__ = ["APP"]
