"""The web workers: started together, replaced one by one, stopped with their requests answered."""

import logging
import os
import signal
import socket
from collections.abc import Callable
from functools import partial

from undercroft.foundation.settings import Settings
from undercroft.identity.auth.hashing import HashQueue
from undercroft.server.attempts import Attempts
from undercroft.server.forks import ForkedProcess, Lifeline
from undercroft.server.keeper import Keeper
from undercroft.server.reload import run_reloading, serve_alone
from undercroft.server.seats import Seats
from undercroft.server.web import Place, run_web_worker

_log = logging.getLogger(__name__)


class WebWorker(ForkedProcess):
    """A worker and its seat; the seat is free again once the worker's end is noticed."""

    def __init__(
        self,
        lifeline: Lifeline,
        settings: Settings,
        listener: socket.socket,
        hashing: HashQueue | None,
        seats: Seats,
    ) -> None:
        super().__init__("A web worker", lifeline, self._work)
        self._settings = settings
        self._listener = listener
        self._hashing = hashing
        self._seats = seats
        self._seat: int | None = None

    def launch(self) -> None:
        self._seat = self._seats.reserve()
        try:
            super().launch()
        except Exception:
            self._leave_seat()
            raise

    def alive(self) -> bool:
        alive = super().alive()
        if not alive:
            self._leave_seat()
        return alive

    @property
    def seated(self) -> bool:
        return self._seat is not None

    def _leave_seat(self) -> None:
        if self._seat is not None:
            seat, self._seat = self._seat, None
            self._seats.vacate(seat)

    def _work(self, ready: Callable[[], None]) -> None:
        assert self._seat is not None
        place = Place(self._listener, self._seats, self._seat, self._hashing)
        run_web_worker(self._settings, place, ready)


class ReloadingWorker(WebWorker):
    """Restarts itself when our code changes, so it is ready from the start."""

    def _work(self, ready: Callable[[], None]) -> None:
        ready()
        run_reloading(serve_alone, self._settings, self._listener)


class WebWorkers:
    def __init__(
        self,
        kind: type[WebWorker],
        number: int,
        lifeline: Lifeline,
        settings: Settings,
        listener: socket.socket,
        hashing: HashQueue | None,
    ) -> None:
        # A worker that is being replaced keeps its seat until its last request is answered.
        self._seats = Seats(2 * number + 1)
        self._make = partial(kind, lifeline, settings, listener, hashing, self._seats)
        self._workers = [self._make() for _ in range(number)]
        self._keepers: list[Keeper] = []
        self._outdated: list[WebWorker] = []
        self._successor: WebWorker | None = None
        self._leaving: list[WebWorker] = []
        self._attempts = Attempts()

    def launch(self, now: float) -> None:
        for worker in self._workers:
            worker.launch()
        self._keepers = [Keeper(worker, now) for worker in self._workers]

    def starting(self) -> bool:
        """Still on the way; false also when one failed."""
        return all(w.alive() for w in self._workers) and not self.ready()

    def ready(self) -> bool:
        return all(worker.ready() for worker in self._workers)

    def tick(self, now: float) -> None:
        for number, keeper in enumerate(self._keepers, start=1):
            self._attempts.make(f"Watching web worker {number}", partial(keeper.tick, now))
        self._attempts.make("Collecting replaced web workers", self._collect)
        self._attempts.make("Replacing the web workers", partial(self._go_on_replacing, now))

    def replace_all(self) -> None:
        """Give every worker a successor, one after the other, without refusing a request."""
        if not self._outdated:
            self._outdated = list(self._workers)

    @property
    def busy(self) -> bool:
        """Something is about to happen, so look again soon."""
        return bool(self._outdated) or any(keeper.waiting for keeper in self._keepers)

    def alive(self) -> list[WebWorker]:
        return [worker for worker in (*self._workers, *self._leaving) if worker.alive()]

    def signal(self, number: signal.Signals) -> None:
        for worker in self.alive():
            worker.signal(number)

    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def _go_on_replacing(self, now: float) -> None:
        if not self._outdated:
            return
        if self._successor is None:
            self._launch_successor()
        elif self._successor.ready():
            self._retire(self._outdated.pop(0), self._successor, now)
            self._successor = None
        elif not self._successor.alive():
            _log.error("The new web worker failed; the old ones go on (pid %d)", os.getpid())
            self._outdated.clear()
            self._successor = None

    def _launch_successor(self) -> None:
        """Once there is a seat to spare: those that were replaced may still be answering."""
        coming_back = sum(not worker.seated for worker in self._workers)
        if self._seats.free > coming_back:
            successor = self._make()
            successor.launch()
            self._successor = successor

    def _collect(self) -> None:
        self._leaving = [worker for worker in self._leaving if worker.alive()]

    def _retire(self, old: WebWorker, successor: WebWorker, now: float) -> None:
        index = self._workers.index(old)
        self._workers[index] = successor
        self._keepers[index] = Keeper(successor, now)
        old.signal(signal.SIGTERM)
        self._leaving.append(old)
