"""A line for every answer worth one, in the combined format of web servers, on standard output.

What was asked of the database goes to standard error, where it is wanted.
"""

import sys
import time
from typing import TextIO

from undercroft.data.rest.app import Hear
from undercroft.data.rest.request import HttpRequest, Scope
from undercroft.data.rest.response import Response

_MOMENT = "%d/%b/%Y:%H:%M:%S %z"
# From which status on answers are written down, by log level. Of `crit` none are.
_LEAST_STATUS = {"error": 500, "warn": 400, "info": 0, "debug": 0}


def access_log(level: str, *, queries: bool) -> tuple[int, Hear] | None:
    """Make what a RestApp tells its answers to; None where the level is above them all."""
    if level not in _LEAST_STATUS:
        return None

    def write(scope: Scope, request: HttpRequest, response: Response) -> None:
        if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            return
        if queries and request.sql is not None:
            sql = request.sql.replace("\n", " ")
            _write(f"{time.strftime(_MOMENT)}: {sql}", sys.stderr)
        _write(_line(scope, request, response), sys.stdout)

    return _LEAST_STATUS[level], write


def _write(line: str, stream: TextIO) -> None:
    stream.write(f"{line}\n")
    stream.flush()


def _line(scope: Scope, request: HttpRequest, response: Response) -> str:
    client = scope.get("client")
    target = scope.get("raw_path") or request.path.encode()
    if request.query:
        target += b"?" + request.query
    day = time.strftime(_MOMENT)
    asked = f"{request.method} {_shown(target)} HTTP/{scope.get('http_version', '1.1')}"
    referer, agent = (_quoted(request.headers.get(name, "")) for name in ("referer", "user-agent"))
    return (
        f'{client[0] if client else "-"} - {request.role or "-"} [{day}] "{asked}"'
        f' {response.status} {len(response.body)} "{referer}" "{agent}"'
    )


def _shown(target: bytes) -> str:
    return _quoted(target.decode("latin-1"))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
