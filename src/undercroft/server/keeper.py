"""Starts again what died, at once, and ever later when it keeps dying."""

import logging
from typing import Protocol

_log = logging.getLogger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
# Whatever ran this long was healthy: its next death is a first one.
HEALTHY_SECONDS = 30.0


class Kept(Protocol):
    name: str

    def launch(self) -> None: ...
    def alive(self) -> bool: ...


class Keeper:
    def __init__(self, kept: Kept, now: float) -> None:
        self.kept = kept
        self._pause = 0.0
        self._launched = now
        self._due: float | None = None

    def tick(self, now: float) -> None:
        """Look after it; cheap, and called again and again."""
        if self.kept.alive():
            return
        if self._due is None:
            self._note_death(now)
        elif now >= self._due:
            self._launch(now)

    @property
    def waiting(self) -> bool:
        """Dead, and to be started soon."""
        return self._due is not None

    def _note_death(self, now: float) -> None:
        if now - self._launched > HEALTHY_SECONDS:
            self._pause = 0.0
        self._due = now + self._pause
        _log.warning("%s ended; starting it again in %.1f s", self.kept.name, self._pause)
        self._pause = min(max(self._pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self.tick(now)

    def _launch(self, now: float) -> None:
        self._due = None
        self._launched = now
        try:
            self.kept.launch()
        except Exception:  # noqa: BLE001 - whatever is wrong may pass, a full disk say
            _log.exception("%s could not be started", self.kept.name)
