"""The parent's work once everything runs: restart what dies, replace on SIGHUP, stop in order."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from undercroft.foundation.embedded import EmbeddedEngines
from undercroft.server.attempts import Attempts
from undercroft.server.errors import CannotServe
from undercroft.server.forks import ForkedProcess
from undercroft.server.keeper import Keeper
from undercroft.server.signals import STOP, Signals
from undercroft.server.web import GRACE_SECONDS
from undercroft.server.workers import WebWorkers

_log = logging.getLogger(__name__)

TICK = 1.0
SHORT_TICK = 0.05
# On top of what a process itself takes to finish its work.
PATIENCE = 5.0
LOG_CHECK_SECONDS = 60.0


class Supervisor:
    def __init__(
        self,
        signals: Signals,
        engines: EmbeddedEngines,
        web: WebWorkers,
        hashing: ForkedProcess | None,
        jobs: ForkedProcess | None,
        job_grace_seconds: float,
    ) -> None:
        self._signals = signals
        self._engines = engines
        self._web = web
        self._hashing = hashing
        self._jobs = jobs
        self._job_grace = job_grace_seconds
        self._keepers: list[Keeper] = []
        self._attempts = Attempts()
        self._terminal = sys.stdin is not None and sys.stdin.isatty()
        self._logs_checked = time.monotonic()

    def start(self) -> bool:
        """Start the workers; false when we were told to stop meanwhile."""
        now = time.monotonic()
        self._keepers = [Keeper(engine, now) for engine in self._engines.running]
        self._web.launch(now)
        while self._web.starting():
            if set(self._signals.wait(SHORT_TICK)) & set(STOP):
                return False
        if not self._web.ready():
            raise CannotServe("A web worker could not start; the lines above say why.")
        # Last: nobody waits for them, and what they log follows the banner.
        for helper in filter(None, (self._hashing, self._jobs)):
            helper.launch()
            self._keepers.append(Keeper(helper, time.monotonic()))
        return True

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        while True:
            waiting = self._web.busy or any(keeper.waiting for keeper in self._keepers)
            for number in self._signals.wait(SHORT_TICK if waiting else TICK):
                if number in STOP or (number == signal.SIGHUP and self._terminal_closed()):
                    return
                if number == signal.SIGHUP:
                    _log.warning("Replacing the web workers")
                    self._web.replace_all()
            self._tick(time.monotonic())

    def stop(self, listener: socket.socket) -> None:
        """Web workers finish their requests, then the job worker its jobs; engines come after."""
        listener.close()
        self._web.signal(signal.SIGTERM)
        self._await_end(self._web.alive, GRACE_SECONDS)
        helpers = list(filter(None, (self._hashing, self._jobs)))
        for helper in helpers:
            helper.signal(signal.SIGTERM)
        self._await_end(lambda: [each for each in helpers if each.alive()], self._job_grace)

    def _tick(self, now: float) -> None:
        for keeper in self._keepers:
            self._attempts.make(f"Watching {keeper.kept.name}", partial(keeper.tick, now))
        self._web.tick(now)
        if now - self._logs_checked > LOG_CHECK_SECONDS:
            self._logs_checked = now
            for engine in self._engines.running:
                self._attempts.make(f"Trimming the log of {engine.name}", engine.log.trim)

    def _await_end(self, alive: Callable[[], Sequence[ForkedProcess]], grace: float) -> None:
        """Wait for processes to stop by themselves; a second Ctrl-C ends the waiting."""
        deadline = time.monotonic() + grace + PATIENCE
        while left := alive():
            hurry = signal.SIGINT in self._signals.wait(SHORT_TICK)
            if hurry or time.monotonic() > deadline:
                for process in left:
                    process.signal(signal.SIGKILL)

    def _terminal_closed(self) -> bool:
        """SIGHUP also means that the terminal we were started from is gone."""
        return self._terminal and not os.isatty(0)
