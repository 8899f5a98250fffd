"""A bundled server program as a child process: started, watched, stopped, never outliving us."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from contextlib import suppress

import psutil

from undercroft.foundation.embedded.accounts import Account
from undercroft.foundation.embedded.errors import EngineFailed
from undercroft.foundation.embedded.logfile import LogFile
from undercroft.foundation.scheduling import work_in_batches

LONGEST_START = 60.0
LONGEST_STOP = 30.0
POLL = 0.005
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Engine(ABC):
    name: str
    stop_signal: signal.Signals

    def __init__(self, account: Account, log: LogFile) -> None:
        self.log = log
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @abstractmethod
    def command(self) -> list[str]:
        """Program and arguments; no secrets, anyone can read them."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers."""

    @abstractmethod
    def leftover(self) -> int | None:
        """Process id of one that an earlier owner of this home left running."""

    @abstractmethod
    def configure(self) -> None:
        """Write what the program reads at its start."""

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Start the program and return at once; `wait_ready` waits for it."""
        if pid := self.leftover():
            end_process(pid, self.stop_signal)
        self.configure()
        self._log_start = self.log.size()
        output = self.log.open()
        try:
            self._process = subprocess.Popen(
                self.command(),
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C at our terminal is for us to handle
                preexec_fn=self._become_engine,  # noqa: PLW1509 - launched from one thread
                **self._account.process_options(),
            )
        finally:
            os.close(output)

    def wait_ready(self, timeout: float = LONGEST_START) -> None:
        deadline = time.monotonic() + timeout
        while not self.ready():
            if not self.alive():
                raise EngineFailed(f"{self.name} did not start: {self.failure()}")
            if time.monotonic() > deadline:
                raise EngineFailed(
                    f"{self.name} did not answer within {timeout:.0f} s; see {self.log.path}."
                )
            time.sleep(POLL)

    def failure(self) -> str:
        """What the log says about the latest start."""
        return f"{self.log.reason_since(self._log_start)} (log: {self.log.path})"

    def stop(self, timeout: float = LONGEST_STOP) -> None:
        """Ask it to stop, wait, and end it the hard way when it does not."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self.stop_signal)
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def _become_engine(self) -> None:
        work_in_batches()
        self._die_with_parent()

    def _die_with_parent(self) -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(self.stop_signal))


def end_process(pid: int, stop_signal: signal.Signals, timeout: float = LONGEST_STOP) -> None:
    """End a process that is not our child, and wait until it is gone."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.send_signal(stop_signal)
        deadline = time.monotonic() + timeout
        # A zombie is gone for our purpose, and stays where the first process of a container
        # never collects orphans.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                process.kill()
            time.sleep(POLL)


def _environment() -> dict[str, str]:
    """Nothing of ours leaks into the engines: no secrets, no PG* variables."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {"TZ": "UTC", "LC_ALL": "C"} | {k: os.environ[k] for k in kept if k in os.environ}
