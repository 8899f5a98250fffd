"""Runs the API and its admin server in one process, and hears signals."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib.metadata import version

import uvicorn
import uvloop

from undercroft.data.rest.standalone.admin import AdminApp
from undercroft.data.rest.standalone.app import StandaloneApp
from undercroft.data.rest.standalone.listening import listening, shown
from undercroft.foundation.http.protocol import LeanProtocol

log = logging.getLogger(__name__)

# What PostgREST's clients and operators look for, and what it is.
VERSION = f"postgrest/14 (undercroft {version('undercroft')})"
# PostgREST's names of levels, and Python's.
_LEVELS = {"crit": logging.CRITICAL, "warn": logging.WARNING}


class Server(uvicorn.Server):
    """One of several servers in a process: which hear of signals from elsewhere."""

    def __init__(self, app: object, bound: socket.socket) -> None:
        super().__init__(
            uvicorn.Config(
                app,  # type: ignore[arg-type]
                http=LeanProtocol,
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                headers=[("server", VERSION)],
                proxy_headers=False,
            )
        )
        self.bound = bound

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield


def run(app: StandaloneApp) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises InvalidSettingError."""
    level = app.settings.log_level
    logging.basicConfig(level=_LEVELS.get(level, level.upper()), stream=sys.stderr)
    with listening(app.settings.server) as bound, listening(app.settings.admin) as admin:
        assert bound is not None  # the API always has a port
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(app, bound, admin))


async def _run(app: StandaloneApp, bound: socket.socket, admin: socket.socket | None) -> int:
    server = Server(app, bound)
    beside = None if admin is None else Server(AdminApp(app, bound), admin)
    tasks = [asyncio.create_task(_serve_once_started(app, server))]
    tasks[0].add_done_callback(lambda _: _stop(beside))
    _hear_signals(app, server, tasks[0])
    tasks.append(asyncio.create_task(_end_when_given_up(app, server)))
    if beside is not None:
        log.info("Admin server listening at %s", shown(beside.bound))
        await beside.serve([beside.bound])
    try:
        with suppress(asyncio.CancelledError):
            await tasks[0]
    finally:
        tasks[1].cancel()
        await app.stop()
    return 1 if app.given_up.is_set() else 0


async def _serve_once_started(app: StandaloneApp, server: Server) -> None:
    await app.start()
    if not app.given_up.is_set():
        log.info("Listening at %s", shown(server.bound))
        await server.serve([server.bound])


async def _end_when_given_up(app: StandaloneApp, server: Server) -> None:
    await app.given_up.wait()
    server.should_exit = True


def _stop(server: Server | None) -> None:
    if server is not None:
        server.should_exit = True


def _hear_signals(app: StandaloneApp, server: Server, serving: "asyncio.Task[None]") -> None:
    def end() -> None:
        if not server.started:
            serving.cancel()
        server.force_exit = server.should_exit  # told twice: wait for nobody
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_signal_handler(signal.SIGUSR1, lambda: app.reload_soon(config=False))
    loop.add_signal_handler(signal.SIGUSR2, lambda: app.reload_soon(config=True))
