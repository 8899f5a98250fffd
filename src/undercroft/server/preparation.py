"""What a migrated database lacks before anybody is served."""

from dataclasses import dataclass

from undercroft.app import bootstrap, build_shared
from undercroft.foundation.embedded import EmbeddedEngines
from undercroft.foundation.settings import Settings
from undercroft.server.forks import Lifeline, call_in_child


@dataclass(frozen=True, slots=True)
class Superuser:
    """`password` only when it was generated just now: nobody will see it again."""

    identifier: str
    password: str | None


def prepare(settings: Settings, engines: EmbeddedEngines, lifeline: Lifeline) -> Superuser | None:
    """Fill in what a fresh database lacks; the superuser is the one made now, if any.

    In a child: it opens connections and an event loop. Meanwhile what all workers share is made
    here.
    """
    embedded = engines.postgres is not None
    made: Superuser | None = call_in_child(
        lifeline,
        lambda: _bootstrap(settings, embedded=embedded),
        meanwhile=lambda: build_shared(settings),
    )
    return made


def _bootstrap(settings: Settings, *, embedded: bool) -> Superuser | None:
    made = bootstrap(settings, embedded=embedded)
    return Superuser(made.identifier, made.password) if made else None
