"""The process that hashes passwords for all web workers, out of everybody's way."""

import socket
import threading
from collections.abc import Callable
from functools import partial

from undercroft.foundation.scheduling import Ticker, cores, step_aside
from undercroft.foundation.settings import PasswordSettings
from undercroft.identity.auth.hashing import Hasher, HashQueue
from undercroft.server.forks import ForkedProcess, Lifeline


class HashingProcess(ForkedProcess):
    def __init__(
        self, lifeline: Lifeline, settings: PasswordSettings, listener: socket.socket
    ) -> None:
        super().__init__("The hashing process", lifeline, self._work)
        self.queue = HashQueue()
        self._settings = settings
        self._listener = listener

    def _work(self, _ready: Callable[[], None]) -> None:
        self._listener.close()  # as the job worker does, and for the same reason
        mine, *others = [Ticker() for _ in range(self._threads())]
        step_aside()
        hasher = Hasher(self._settings)
        for ticker in others:
            work = partial(self.queue.answer_all, hasher, ticker.beside_me)
            threading.Thread(target=work, daemon=True).start()
        self.queue.answer_all(hasher, mine.beside_me)

    def _threads(self) -> int:
        return self._settings.hash_threads or max(1, cores() // 2)
