"""`undercroft serve`, from the command to the last stopped engine, in the order things happen.

This module imports little: engines start first, and the application is imported while they do and
while a child migrates.
"""

import gc
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module

from undercroft.foundation.embedded import (
    SERVE,
    EmbeddedEngines,
    Home,
    HomeLock,
    HomeSecrets,
    filled_in,
    require_real_secrets,
)
from undercroft.foundation.scheduling import cores
from undercroft.foundation.settings import Settings
from undercroft.server.signals import leave_on_sigterm
from undercroft.server.sockets import address, bind

MOST_WORKERS_BY_DEFAULT = 4


@dataclass(frozen=True, slots=True)
class ServeOptions:
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int | None = None
    reload: bool = False
    as_json: bool = False

    def number_of_workers(self) -> int:
        """As asked; else one per core, up to four: beyond that Postgres wants the cores."""
        if self.reload:
            return 1
        return self.workers or min(cores(), MOST_WORKERS_BY_DEFAULT)


def serve(settings: Settings, options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises `SettingsInvalid`, `EnginesUnavailable` or `CannotServe` instead of starting.
    """
    leave_on_sigterm()
    require_real_secrets(settings)
    home = Home(settings.home)
    home.make()
    with HomeLock(home) as lock:
        if not (settings.database.url and settings.cache.url):
            lock.acquire(SERVE)
        with closing(bind(options.host, options.port)) as listener:
            engines = EmbeddedEngines(home, settings, processes=options.number_of_workers() + 1)
            with _launched(engines):
                _share_metrics(home)
                gc.disable()  # an import keeps nearly everything it makes
                _import_structlog()
                from undercroft.server.forks import Lifeline  # noqa: PLC0415 - while engines start
                from undercroft.server.migrating import migrate_in_child  # noqa: PLC0415 - the same

                engines.wait_ready()
                key = HomeSecrets.key_for(home, settings)
                settings = filled_in(settings, engines.urls(), key, address=address(listener))
                lifeline = Lifeline()
                lifeline.keep_from_children(lock.close_in_child)
                migrate_in_child(settings, engines, lifeline, meanwhile=_import_application)
                from undercroft.server.running import run  # noqa: PLC0415 - imported by now

                run(settings, options, engines, lock, lifeline, listener)


def _import_structlog() -> None:
    """Without rich, which it would draw tracebacks with: ours are plain, and rich takes 8 MB."""
    rich = sys.modules.get("rich")
    sys.modules["rich"] = None  # type: ignore[assignment]  # there is none
    import_module("structlog")
    del sys.modules["rich"]
    if rich is not None:
        sys.modules["rich"] = rich


def _import_application() -> None:
    import_module("undercroft.server.running")


@contextmanager
def _launched(engines: EmbeddedEngines) -> Iterator[None]:
    try:
        engines.launch()
        yield
    finally:
        engines.stop()


def _share_metrics(home: Home) -> None:
    """Let each worker count in a file of its own; prometheus-client reads this when imported."""
    directory = home.root / "metrics"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
