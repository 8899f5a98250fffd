"""How long the machine of a database is waited for that fell silent: no power, a cut network.

It says no goodbye, and a kernel left alone waits a quarter of an hour for who sent something and
for ever for who listens. A limit on statements would end those that may take long. So the kernel
asks the machine, which answers whatever Postgres is busy with.
"""

import socket
from contextlib import suppress
from typing import Any

IDLE_SECONDS = 5
INTERVAL_SECONDS = 2
COUNT = 3
UNHEARD_MILLISECONDS = 10_000
# macOS calls the first by another name. Where one is missing, the others still count.
_OPTIONS = (
    ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", IDLE_SECONDS),
    ("TCP_KEEPINTVL", INTERVAL_SECONDS),
    ("TCP_KEEPCNT", COUNT),
)
# The same in libpq's words, which leaves out what the system does not have.
LIBPQ: dict[str, Any] = {
    "keepalives_idle": IDLE_SECONDS,
    "keepalives_interval": INTERVAL_SECONDS,
    "keepalives_count": COUNT,
    "tcp_user_timeout": UNHEARD_MILLISECONDS,
}


def watch(connection: Any) -> None:
    """Set this on a socket of asyncio or uvloop. One of this machine needs none of it."""
    if connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):  # a system that cannot is no reason to do without a connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS:
        _set(connection, name, value)
    limit_unheard(connection, UNHEARD_MILLISECONDS)


def limit_unheard(connection: Any, milliseconds: int) -> None:
    """How long what was sent may wait to be taken; 0 leaves that to the kernel."""
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        _set(connection, "TCP_USER_TIMEOUT", milliseconds)


def _set(connection: Any, name: str, value: int) -> None:
    if (option := getattr(socket, name, None)) is not None:
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
