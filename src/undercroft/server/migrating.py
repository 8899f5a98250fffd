"""Bringing the schema up to date, in a child, while the parent imports the application.

This module imports little, so that the child can be forked early; what only migrations need is
imported there, and takes no memory of those who serve.
"""

import gc
from collections.abc import Callable

import undercroft.foundation.db  # noqa: F401 - which the child would import for itself
from undercroft.foundation.embedded import EmbeddedEngines
from undercroft.foundation.logging import configure_logging
from undercroft.foundation.settings import Settings
from undercroft.server.errors import CannotServe
from undercroft.server.forks import Lifeline, call_in_child


def migrate_in_child(
    settings: Settings,
    engines: EmbeddedEngines,
    lifeline: Lifeline,
    *,
    meanwhile: Callable[[], object],
) -> None:
    """Migrate an embedded database, check any other; `meanwhile` runs here until that is done."""
    configure_logging(settings.observability)
    gc.freeze()  # or the child's collector would copy what it looks at
    call_in_child(lifeline, lambda: _migrate(settings, engines), meanwhile=meanwhile)


def _migrate(settings: Settings, engines: EmbeddedEngines) -> None:
    from undercroft.foundation.db import migrate  # noqa: PLC0415 - see above

    if engines.postgres:
        migrate.upgrade(settings)
        engines.postgres.as_superuser(migrate.superuser_script())
    else:
        _check_revision(settings)


def _check_revision(settings: Settings) -> None:
    """Several nodes share a database that is not ours, so an operator says when it changes.

    A revision we do not know is newer than this version, which works on it all the same.
    """
    from undercroft.foundation.db import migrate  # noqa: PLC0415 - see above

    found = migrate.current(settings)
    known = [revision for revision, _ in migrate.history()]
    if found is None or found in known[:-1]:
        state = f"is at revision {found}" if found else "is empty"
        raise CannotServe(
            f"The database {state} and this version needs {known[-1]}: run `undercroft db upgrade`."
        )
    for app in migrate.with_tables(settings):
        found, known = migrate.current(settings, app=app), [one for one, _ in migrate.history(app)]
        if found is None or found in known[:-1]:
            raise CannotServe(
                f"The app {app.name} is at {found or 'no revision'} and needs {known[-1]}: "
                "run `undercroft db upgrade`."
            )
