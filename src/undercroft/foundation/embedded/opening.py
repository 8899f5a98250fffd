"""Engines for as long as a command needs them: those of a running `serve`, or its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from undercroft.foundation.embedded.engines import EmbeddedEngines, filled_in
from undercroft.foundation.embedded.errors import EnginesUnavailable, HomeHeld, HomeUnusable
from undercroft.foundation.embedded.home import Home
from undercroft.foundation.embedded.lock import HomeLock
from undercroft.foundation.embedded.secrets import HomeSecrets
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Environment, Settings

LONGEST_WAIT = 60.0
POLL = 0.1


@contextmanager
def open_engines(
    settings: Settings, *, command: str = "command", alone: bool = False, existing: bool = False
) -> Iterator[Settings]:
    """Settings with both addresses and the secret key filled in, valid inside the block.

    Waits its turn while another command runs engines on this home; `alone` refuses to share them
    with a `serve`; `existing` refuses a home that nothing was started on, since a command in the
    wrong directory would make an empty one and look into that. Raises `SettingsInvalid` and
    `EnginesUnavailable`.
    """
    require_real_secrets(settings)
    home = Home(settings.home)
    if existing and settings.database.url is None:
        _require_started(home)
    home.make()
    if settings.database.url and settings.cache.url:
        yield filled_in(settings, (None, None), HomeSecrets.key_for(home, settings))
        return
    with HomeLock(home) as lock:
        if borrowed := _take_or_borrow(lock, home, settings, command, alone=alone):
            yield borrowed
            return
        with _running(EmbeddedEngines(home, settings)) as engines:
            yield filled_in(settings, engines.urls(), HomeSecrets.key_for(home, settings))


def _require_started(home: Home) -> None:
    if home.root.exists():
        home.make()  # says so when it is another user's
    if not home.secrets_file.exists():
        raise HomeUnusable(
            f"There is no home at {home.root}: go to the directory where `undercroft serve` runs, "
            "name its home by --home or UNDERCROFT_HOME, or start `undercroft serve` here."
        )


def require_real_secrets(settings: Settings) -> None:
    """Refuse production without a secret key that every node shares."""
    if lacks_real_secret(settings):
        raise SettingsInvalid(
            "SECRET_KEY is missing: ENVIRONMENT=production with a DATABASE_URL needs one, "
            "at least 32 characters and the same on every node."
        )


def lacks_real_secret(settings: Settings) -> bool:
    embedded = settings.database.url is None
    production = settings.environment is Environment.PRODUCTION
    return production and not (embedded or settings.secret_key)


@contextmanager
def _running(engines: EmbeddedEngines) -> Iterator[EmbeddedEngines]:
    try:
        engines.launch()
        engines.wait_ready()
        yield engines
    finally:
        engines.stop()


def _take_or_borrow(
    lock: HomeLock, home: Home, settings: Settings, command: str, *, alone: bool
) -> Settings | None:
    """Hold the home and return None, or return the addresses of the engines that `serve` runs.

    A `serve` may be starting or stopping just now, so neither may be possible for a while.
    """
    deadline = time.monotonic() + LONGEST_WAIT
    while True:
        try:
            lock.acquire(command)
        except HomeHeld as held:
            if alone or not held.by_serve:
                raise
        else:
            return None
        holder = lock.holder()
        if borrowed := _borrowed(home, settings, holder.url if holder else None):
            return borrowed
        if time.monotonic() > deadline:
            raise EnginesUnavailable(
                f"The engines of {home.root} do not answer; see {home.logs} for the reason."
            )
        time.sleep(POLL)


def _borrowed(home: Home, settings: Settings, address: str | None) -> Settings | None:
    """Addresses of engines that answer."""
    if HomeSecrets.read(home) is None:  # the first start has only begun
        return None
    engines = EmbeddedEngines(home, settings)
    if not all(engine.ready() for engine in engines.running):
        return None
    key = HomeSecrets.key_for(home, settings)
    return filled_in(settings, engines.urls(), key, address=address)
