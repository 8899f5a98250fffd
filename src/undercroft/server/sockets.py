"""The listening socket, bound once by the parent and inherited by every worker."""

import errno
import socket

from undercroft.server.errors import CannotServe

BACKLOG = 2048


def bind(host: str, port: int) -> socket.socket:
    """Reserve the address; nobody can connect before `listen`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotServe(_reason(error, host, port)) from error
    listener.setblocking(False)
    return listener


def listen(listener: socket.socket) -> None:
    listener.listen(BACKLOG)


def address(listener: socket.socket) -> str:
    """URL that reaches the socket from this machine."""
    host, port = listener.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return (
        f"http://[{host}]:{port}" if ":" in reachable.strip("[]") else f"http://{reachable}:{port}"
    )


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken: stop what listens there, or choose --port."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights: choose one above 1023 with --port."
    return f"Cannot listen on {host} port {port}: {error.strerror}."
