"""`serve --reload`: the same work in a fresh interpreter, started again when our code changes.

Forking would hand on the code that was imported at the start.
"""

import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import undercroft
from undercroft.app import open_workplace
from undercroft.foundation.jobs import run_worker
from undercroft.foundation.settings import Settings
from undercroft.server.errors import CannotServe
from undercroft.server.seats import Seats
from undercroft.server.web import Place, run_web_worker

WATCHED = Path(undercroft.__file__).parent


def require_watchfiles() -> None:
    if find_spec("watchfiles") is None:
        raise CannotServe("--reload needs the package watchfiles: pip install watchfiles.")


def run_reloading(target: Callable[..., None], *args: Any) -> None:
    """Run `target` in a process of its own until SIGTERM. Everything given must be picklable."""
    from watchfiles import PythonFilter, run_process  # noqa: PLC0415 - a development dependency

    logging.getLogger("watchfiles").setLevel(logging.ERROR)
    run_process(WATCHED, target=target, args=args, watch_filter=PythonFilter())


def serve_alone(settings: Settings, listener: socket.socket) -> None:
    seats = Seats(1)
    with suppress(KeyboardInterrupt):  # watchfiles stops us by SIGINT
        run_web_worker(settings, Place(listener, seats, seats.reserve()), lambda: None)


def work_alone(settings: Settings) -> None:
    run_worker(settings, open_workplace)
