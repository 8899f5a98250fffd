"""The second half of `serve`: engines run, the database is migrated, the application imported."""

import gc
import logging
import socket
from collections.abc import Callable

from undercroft.foundation.apps import unread_settings
from undercroft.foundation.embedded import EmbeddedEngines, HomeLock
from undercroft.foundation.settings import Settings
from undercroft.server.banner import print_banner, print_json
from undercroft.server.forks import ForkedProcess, Lifeline
from undercroft.server.hashing import HashingProcess
from undercroft.server.preparation import prepare
from undercroft.server.reload import require_watchfiles, run_reloading, work_alone
from undercroft.server.serve import ServeOptions
from undercroft.server.signals import Signals
from undercroft.server.sockets import address, listen
from undercroft.server.supervisor import Supervisor
from undercroft.server.workers import ReloadingWorker, WebWorker, WebWorkers

_log = logging.getLogger(__name__)


def run(
    settings: Settings,
    options: ServeOptions,
    engines: EmbeddedEngines,
    lock: HomeLock,
    lifeline: Lifeline,
    listener: socket.socket,
) -> None:
    """Prepare the database, start the workers, watch over everything, stop the workers."""
    if options.reload:
        require_watchfiles()
    _tell_unread(settings)
    gc.freeze()  # see below; for the child that prepares
    superuser = prepare(settings, engines, lifeline)
    listen(listener)
    signals = Signals()
    lifeline.keep_from_children(signals.close_in_child)
    kind = ReloadingWorker if options.reload else WebWorker
    # What restarts itself is a fresh interpreter, which nothing can be handed to.
    aside = not options.reload
    hashing = HashingProcess(lifeline, settings.auth.password, listener) if aside else None
    queue = hashing.queue if hashing else None
    web = WebWorkers(kind, options.number_of_workers(), lifeline, settings, listener, queue)
    _share_what_is_made()
    supervisor = Supervisor(
        signals,
        engines,
        web,
        hashing,
        _job_worker(settings, options, lifeline, listener) if engines.postgres else None,
        settings.jobs.stop_grace.total_seconds(),
    )
    try:
        if not supervisor.start():
            return
        url = address(listener)
        lock.announce(url)
        home = settings.home.absolute() if engines.running else None
        if options.as_json:
            print_json(url, home=home)
        else:
            print_banner(url, settings, superuser, home=home)
        supervisor.run()
    finally:
        supervisor.stop(listener)


def _tell_unread(settings: Settings) -> None:
    """A misspelt setting keeps its default without a word; this is the word."""
    for unread in unread_settings(settings):
        _log.warning("%s", unread)


def _share_what_is_made() -> None:
    """Keep the collector of every child off the objects it shares with us: a look copies them.

    Nothing is collected before: it takes a quarter of a second, and finds next to nothing.
    """
    gc.freeze()
    gc.enable()


def _job_worker(
    settings: Settings, options: ServeOptions, lifeline: Lifeline, listener: socket.socket
) -> ForkedProcess:
    """Only an embedded home works its jobs by itself; elsewhere `undercroft worker` does."""

    def work(_ready: Callable[[], None]) -> None:
        listener.close()  # or callers still get through when all web workers have left
        if options.reload:
            run_reloading(work_alone, settings)
        else:
            work_alone(settings)

    return ForkedProcess("The job worker", lifeline, work)
