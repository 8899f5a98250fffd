"""Engines for as long as a command needs them: those of a running `serve`, or its own."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from undercroft.foundation.embedded.engines import EmbeddedEngines, filled_in
from undercroft.foundation.embedded.errors import EnginesUnavailable, HomeHeld
from undercroft.foundation.embedded.home import Home
from undercroft.foundation.embedded.lock import HomeLock
from undercroft.foundation.embedded.secrets import HomeSecrets
from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Environment, Settings

LONGEST_WAIT = 60.0
POLL = 0.1


@contextmanager
def open_engines(settings: Settings, *, command: str = "command") -> Iterator[Settings]:
    """Settings with both addresses and the secret key filled in, valid inside the block.

    Waits its turn while another command runs engines on this home. Raises `SettingsInvalid` and
    `EnginesUnavailable`.
    """
    require_real_secrets(settings)
    home = Home(settings.home)
    home.make()
    if settings.database.url and settings.cache.url:
        yield filled_in(settings, (None, None), HomeSecrets.of(home).secret_key)
        return
    with HomeLock(home) as lock:
        try:
            lock.acquire(command)
        except HomeHeld as held:
            if not held.by_serve:
                raise
            yield _borrowed(home, settings)
        else:
            with _running(EmbeddedEngines(home, settings)) as engines:
                yield filled_in(settings, engines.urls(), HomeSecrets.of(home).secret_key)


def require_real_secrets(settings: Settings) -> None:
    """Refuse production without a secret key that every node shares."""
    embedded = settings.database.url is None
    if settings.environment is Environment.PRODUCTION and not (embedded or settings.secret_key):
        raise SettingsInvalid(
            "SECRET_KEY is missing: ENVIRONMENT=production with a DATABASE_URL needs one, "
            "at least 32 characters and the same on every node."
        )


@contextmanager
def _running(engines: EmbeddedEngines) -> Iterator[EmbeddedEngines]:
    try:
        engines.launch()
        engines.wait_ready()
        yield engines
    finally:
        engines.stop()


def _borrowed(home: Home, settings: Settings) -> Settings:
    """Addresses of the engines that `serve` runs, once they answer."""
    deadline = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < deadline:
        if secrets := HomeSecrets.read(home):  # else its first start has only begun
            engines = EmbeddedEngines(home, settings)
            if all(engine.ready() for engine in engines.running):
                return filled_in(settings, engines.urls(), secrets.secret_key)
        time.sleep(POLL)
    raise EnginesUnavailable(
        f"The engines of {home.root} do not answer; see {home.logs} for the reason."
    )
