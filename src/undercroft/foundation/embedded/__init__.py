"""The bundled PostgreSQL and Valkey: started, tuned, watched and stopped under a home directory.

Nothing here runs when `DATABASE_URL` and `REDIS_URL` are set.
"""

from undercroft.foundation.embedded.engine import Engine
from undercroft.foundation.embedded.engines import EmbeddedEngines, filled_in
from undercroft.foundation.embedded.errors import (
    EngineFailed,
    EnginesUnavailable,
    HomeHeld,
    HomeUnusable,
)
from undercroft.foundation.embedded.home import Home
from undercroft.foundation.embedded.lock import SERVE, HomeLock
from undercroft.foundation.embedded.opening import (
    lacks_real_secret,
    open_engines,
    require_real_secrets,
)
from undercroft.foundation.embedded.secrets import HomeSecrets

__all__ = [
    "SERVE",
    "EmbeddedEngines",
    "Engine",
    "EngineFailed",
    "EnginesUnavailable",
    "Home",
    "HomeHeld",
    "HomeLock",
    "HomeSecrets",
    "HomeUnusable",
    "filled_in",
    "lacks_real_secret",
    "open_engines",
    "require_real_secrets",
]
