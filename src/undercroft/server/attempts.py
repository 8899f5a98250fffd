"""Work that must not end the parent, which would take every worker and both engines along."""

import logging
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Attempts:
    """What fails in one tick (a full disk, no process left) is tried again in the next."""

    def __init__(self) -> None:
        self._failing: set[str] = set()

    def make(self, what: str, work: Callable[[], object]) -> None:
        """Do `work`; of its failures in a row the log tells the first."""
        try:
            work()
        except Exception:  # noqa: BLE001 - whatever it was, the rest goes on
            if what not in self._failing:
                self._failing.add(what)
                _log.exception("%s failed, and is tried again until it works", what)
        else:
            self._failing.discard(what)
