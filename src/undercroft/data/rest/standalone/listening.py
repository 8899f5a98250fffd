"""Sockets to serve on, bound before anything else is tried."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from undercroft.data.rest.standalone.settings import InvalidSettingError, Listen

# PostgREST's wildcards: the families to listen on.
_ANY = {
    "*": (socket.AF_INET, "0.0.0.0"),  # noqa: S104 - asked for
    "*4": (socket.AF_INET, "0.0.0.0"),  # noqa: S104 - asked for
    "!4": (socket.AF_INET, "0.0.0.0"),  # noqa: S104 - asked for
    "*6": (socket.AF_INET6, "::"),
    "!6": (socket.AF_INET6, "::"),
}
_BACKLOG = 2048


@contextmanager
def listening(where: Listen) -> Iterator[socket.socket | None]:
    """Lend a socket that listens there, or None where that says nothing."""
    try:
        bound = _unix(where) if where.unix_socket else _tcp(where)
    except OSError as error:
        place = where.unix_socket or f"{where.host}:{where.port}"
        raise InvalidSettingError(f"Cannot listen at {place}: {error.strerror}") from error
    if bound is None:
        yield None
        return
    try:
        yield bound
    finally:
        bound.close()
        if where.unix_socket:
            Path(where.unix_socket).unlink(missing_ok=True)


def shown(bound: socket.socket) -> str:
    """Name a socket the way a person would."""
    name = bound.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def _tcp(where: Listen) -> socket.socket | None:
    if where.port is None:
        return None
    if where.host in _ANY:
        family, address = _ANY[where.host]
    else:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        family, address = found[0][0], str(found[0][4][0])
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if where.shares_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where.host != "*6"))
        bound.bind((address, where.port))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _unix(where: Listen) -> socket.socket:
    """Listen at a path, in the place of what an earlier run may have left there."""
    path = str(where.unix_socket)
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.stat(path).st_mode):  # noqa: PTH116 - the mode is all we want
            os.unlink(path)  # noqa: PTH108
    bound = socket.socket(socket.AF_UNIX)
    try:
        bound.bind(path)
        os.chmod(path, where.unix_socket_mode)  # noqa: PTH101
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def connect_to(where: Listen, within: float) -> socket.socket:
    """Connect to who listens there."""
    if where.unix_socket is None:
        return socket.create_connection((where.host, where.port), timeout=within)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(within)
    client.connect(where.unix_socket)
    return client
