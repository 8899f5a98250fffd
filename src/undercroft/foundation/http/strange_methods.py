"""Requests whose method no standard knows, for applications that have something to say to them.

llhttp reads those methods alone that it knows. Such a request is read once more with another method
in its place, and is the last of its connection.
"""

import re
from typing import Any

import httptools

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) [^ \r\n]+ HTTP/1\.[01]\r\n")
_STAND_IN = b"UNLINK"


class _StrangeParser:
    def __init__(self, protocol: Any, method: bytes) -> None:
        self._parser: Any = httptools.HttpRequestParser(protocol)
        self._method = method

    def get_method(self) -> bytes:
        return self._method

    def should_keep_alive(self) -> bool:
        return False

    def should_upgrade(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)


def stand_in(protocol: Any, data: bytes) -> tuple[Any, bytes] | None:
    """A parser for `data` and what to feed it; None when something else is wrong with it."""
    line = _REQUEST_LINE.match(data)
    if line is None or not _is_strange(line[1]):  # another request in it is meant
        return None
    return _StrangeParser(protocol, line[1]), _STAND_IN + data[line.end(1) :]


def _is_strange(method: bytes) -> bool:
    parser: Any = httptools.HttpRequestParser(object())
    try:
        parser.feed_data(method + b" / HTTP/1.1\r\n\r\n")
    except httptools.HttpParserInvalidMethodError:
        return True
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        pass
    return False
