"""Connection strings in both forms of libpq: a URI, or `host=… user=…`."""

import re
from typing import Any

_PAIR = re.compile(r"\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))")
_ESCAPED = re.compile(r"\\(.)")
_NAMES = {
    "host": "host",
    "hostaddr": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "dbname": "database",
    "sslmode": "ssl",
    "passfile": "passfile",
    "connect_timeout": "timeout",
    "target_session_attrs": "target_session_attrs",
}


def connect_arguments(text: str) -> dict[str, Any]:
    """Turn a connection string into arguments of `asyncpg.connect`."""
    if "://" in text:
        return {"dsn": text}
    arguments: dict[str, Any] = {}
    for pair in _PAIR.finditer(text):
        value = _ESCAPED.sub(r"\1", pair[2] if pair[2] is not None else pair[3])
        if pair[1] in _NAMES:
            arguments[_NAMES[pair[1]]] = int(value) if pair[1] == "connect_timeout" else value
    return arguments
