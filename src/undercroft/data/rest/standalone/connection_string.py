"""Connection strings in both forms of libpq: a URI, or `host=… user=…`."""

import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from undercroft.foundation.libpq import OF_LIBPQ

_PAIR = re.compile(r"\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))")
_LOGIN = re.compile(r"(?<=://)[^/@]*(?=@)")
_ESCAPED = re.compile(r"\\(.)")
APPLICATION = "undercroft rest"


def connect_arguments(text: str) -> dict[str, Any]:
    """Turn a connection string into arguments of `asyncpg.connect`."""
    if "://" in text:
        # libpq takes a login as it stands; for asyncpg `#` and `?` would end it
        plain = _LOGIN.sub(lambda login: quote(login[0], safe=":%!$&'()*+,;="), text, count=1)
        address, _, query = plain.partition("?")
        settings = dict(parse_qsl(query, keep_blank_values=True))
    else:
        address, settings = "postgresql://", dict(_pairs(text))
    if "hostaddr" in settings:
        settings["host"] = settings.pop("hostaddr")
    names = [settings.pop(name, "") for name in ("application_name", "fallback_application_name")]
    timeout = settings.pop("connect_timeout", "")
    kept = {name: value for name, value in settings.items() if name not in OF_LIBPQ}
    arguments: dict[str, Any] = {
        "dsn": f"{address}?{urlencode(kept, quote_via=quote)}" if kept else address,
        "server_settings": {"application_name": names[0] or names[1] or APPLICATION},
    }
    if timeout.isdecimal() and int(timeout):
        arguments["timeout"] = int(timeout)
    return arguments


def _pairs(text: str) -> list[tuple[str, str]]:
    return [
        (pair[1], _ESCAPED.sub(r"\1", pair[2] if pair[2] is not None else pair[3]))
        for pair in _PAIR.finditer(text)
    ]
