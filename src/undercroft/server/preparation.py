"""What has to be true of the database before anybody is served."""

from dataclasses import dataclass

from undercroft.app import bootstrap, build_shared
from undercroft.foundation.db import migrate
from undercroft.foundation.embedded import EmbeddedEngines
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings
from undercroft.server.forks import Lifeline, call_in_child


@dataclass(frozen=True, slots=True)
class Superuser:
    """`password` only when it was generated just now: nobody will see it again."""

    identifier: str
    password: str | None


def prepare(settings: Settings, engines: EmbeddedEngines, lifeline: Lifeline) -> Superuser | None:
    """Migrate an embedded database, check any other, and fill in what a fresh one lacks.

    The superuser is the one made now, if any. In a child: it opens connections and an event loop.
    Meanwhile what all workers share is made here.
    """
    embedded = engines.postgres is not None
    made: Superuser | None = call_in_child(
        lifeline,
        lambda: _prepare(settings, embedded=embedded),
        meanwhile=lambda: build_shared(settings),
    )
    if engines.postgres:
        engines.postgres.as_superuser(migrate.superuser_script())
    return made


def _prepare(settings: Settings, *, embedded: bool) -> Superuser | None:
    if embedded:
        migrate.upgrade(settings)
    else:
        _check_revision(settings)
    made = bootstrap(settings, embedded=embedded)
    return Superuser(made.identifier, made.password) if made else None


def _check_revision(settings: Settings) -> None:
    """Several nodes share a database that is not ours, so an operator says when it changes.

    A revision we do not know is newer than this version, which works on it all the same.
    """
    found = migrate.current(settings)
    known = [revision for revision, _ in migrate.history()]
    if found is None or found in known[:-1]:
        state = f"is at revision {found}" if found else "is empty"
        raise SettingsInvalid(
            f"The database {state} and this version needs {known[-1]}: run `undercroft db upgrade`."
        )
    for app in migrate.with_tables(settings):
        found, known = migrate.current(settings, app=app), [one for one, _ in migrate.history(app)]
        if found is None or found in known[:-1]:
            raise SettingsInvalid(
                f"The app {app.name} is at {found or 'no revision'} and needs {known[-1]}: "
                "run `undercroft db upgrade`."
            )
