"""An eye on what looks like an attack in a request's path, query and a few headers.

Advice and no protection: SQL is never put together from what callers send, and nothing they send is
shown as HTML. What it finds tells who is trying. Bodies are people's own words and are not looked
at, and neither is where SQL is the point (`EXEMPT`).
"""

import re
from collections.abc import Awaitable, Callable
from typing import Literal
from urllib.parse import unquote_plus

from prometheus_client import Counter
from starlette.types import ASGIApp, Receive, Scope, Send

from undercroft.foundation.context import RequestContext, current_request
from undercroft.foundation.problems import Forbidden

Screening = Literal["off", "report", "block"]
OnFinding = Callable[[RequestContext, str], Awaitable[None]]

FOUND = Counter("undercroft_screened_total", "Requests that looked like an attack.", ("kind",))
# Below the control plane's prefix.
EXEMPT = ("/sql", "/tables", "/functions", "/schema")
HEADERS = frozenset({b"user-agent", b"referer", b"cookie"})
# Every repetition has an end: none of them reads a long text more than once.
KINDS = {
    "sql": re.compile(
        r"\bunion\s{1,9}(?:all\s{1,9})?select\b"
        r"|['\"]\s{0,9}(?:or|and)\s{1,9}['\"(]?\w{1,40}['\")]?\s{0,9}(?:=|like\b|is\b)"
        r"|;\s{0,9}(?:drop|alter|truncate|delete|insert|update|create|grant)\s{1,9}\w"
        r"|\b(?:pg_sleep|benchmark|xp_cmdshell|load_file|waitfor\s{1,9}delay)\b"
        r"|\binformation_schema\."
    ),
    "xss": re.compile(
        r"<\s{0,9}/?\s{0,9}(?:script|iframe|object|embed|svg|img)\b"
        r"|\bjavascript\s{0,9}:|\bon(?:error|load|click|focus|mouseover)\s{0,9}="
    ),
    "command": re.compile(
        r"[;&|`]\s{0,9}(?:cat|ls|id|whoami|uname|wget|curl|nc|bash|sh|powershell|ping)\b"
        r"|\$\([a-z/]|/etc/(?:passwd|shadow)\b|\.\./\.\./|\$\{jndi:"
    ),
}


class InputSuspicious(Forbidden):
    title = "The request looks like an attack"
    detail = "If it is none, send the text in the body or ask the operator."


class Screen:
    """Around the control plane. `on_finding` hears of what `report` lets pass."""

    def __init__(
        self, app: ASGIApp, mode: Screening, *, prefix: str, on_finding: OnFinding
    ) -> None:
        self._app = app
        self._mode = mode
        self._exempt = tuple(prefix + path for path in EXEMPT)
        self._on_finding = on_finding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (kind := self._kind(scope)):
            FOUND.labels(kind).inc()
            if self._mode == "block":
                raise InputSuspicious
            if request := current_request():
                await self._on_finding(request, kind)
        await self._app(scope, receive, send)

    def _kind(self, scope: Scope) -> str | None:
        if scope["path"].startswith(self._exempt):
            return None
        return kind_of(text_of(scope))


def text_of(scope: Scope) -> str:
    """Everything that is looked at, decoded twice: what hides hides in encodings."""
    headers = (value for name, value in scope["headers"] if name in HEADERS)
    parts = (scope["path"].encode(), scope["query_string"], *headers)
    text = b"\n".join(parts).decode("latin-1")
    return unquote_plus(unquote_plus(text)).lower() if "%" in text or "+" in text else text.lower()


def kind_of(text: str) -> str | None:
    """sql, xss or command; None for what looks harmless."""
    return next((kind for kind, pattern in KINDS.items() if pattern.search(text)), None)
