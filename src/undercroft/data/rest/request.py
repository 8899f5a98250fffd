"""What arrives over HTTP, read once: path, method, the headers we look at, and the body."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson
from werkzeug.http import parse_cookie

from undercroft.data.rest.errors import RestError, invalid_path, unsupported_method
from undercroft.data.schema.model import QualifiedName

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Of a head: what anybody may send is not to fill the memory.
_REMEMBERED_BYTES = 4096
SENDS_BODY = frozenset({"POST", "PATCH", "PUT"})
WRITES = SENDS_BODY | {"DELETE"}
_READS_BODY = frozenset({"insert", "update", "upsert"})
_TABLE_ACTIONS = {
    "GET": "read",
    "HEAD": "read",
    "POST": "insert",
    "PATCH": "update",
    "PUT": "upsert",
    "DELETE": "delete",
    "OPTIONS": "inspect",
}
_CALL_ACTIONS = {"GET": "call", "HEAD": "call", "POST": "call", "OPTIONS": "inspect"}
_ROOT_ACTIONS = {"GET": "describe", "HEAD": "describe", "OPTIONS": "inspect"}
_DECIDING = ("accept-profile", "content-profile", "accept", "content-type", "prefer", "range")


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """The headers of a request, and as JSON for `request.headers` and `request.cookies`.

    `deciding` are those that the meaning of a request on a table depends on.
    """

    headers: dict[str, str]
    headers_json: str = "{}"
    cookies_json: str = "{}"
    deciding: tuple[str | None, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "deciding", tuple(map(self.headers.get, _DECIDING)))


@dataclass(slots=True)
class HttpRequest:
    """`headers` keeps the last value of a name, but all of Prefer, joined as one list.

    `role` is whose request it is and `sql` what it asks of the database, once that is known.
    """

    method: str
    path: str
    query: bytes
    head: Head
    role: str | None = None
    sql: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        return self.head.headers

    @property
    def profile(self) -> str | None:
        name = "content-profile" if self.method in WRITES else "accept-profile"
        return self.headers.get(name)


@dataclass(frozen=True, slots=True)
class Resource:
    """What a path names and what is to be done with it. `name` is empty for the root."""

    kind: str
    name: str
    action: str


def read_http(
    scope: Scope, prefix: str, secret_headers: frozenset[str] = frozenset()
) -> HttpRequest:
    """Read the head of a request. A mount point in `root_path` or `prefix` is cut off the path.

    What runs in the database sees all headers but the cookies and `secret_headers`.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path") or ""
    for mounted in (root, prefix):
        if mounted and path.startswith(mounted):
            path = path[len(mounted) :]
    raw = tuple(scope["headers"])
    size = sum([len(name) + len(value) for name, value in raw])
    read = read_head if size <= _REMEMBERED_BYTES else read_head_anew
    head = read(raw, secret_headers)
    query = scope["query_string"].replace(b";", b"&")  # as PostgREST reads it
    return HttpRequest(scope["method"], path or "/", query, head)


def read_head_anew(raw: tuple[tuple[bytes, bytes], ...], secret: frozenset[str]) -> Head:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1"), raw_value.decode("utf-8", "replace")
        if name == "prefer" and name in headers:
            value = f"{headers[name]},{value}"
        headers[name] = value
    # Cookies are a setting of their own.
    visible = {
        name: value for name, value in headers.items() if name != "cookie" and name not in secret
    }
    return Head(headers, orjson.dumps(visible).decode(), _cookies_json(headers.get("cookie")))


# A client repeats its headers with every request of a connection, and reading them anew took a
# tenth of the time of a small read.
read_head = lru_cache(maxsize=1024)(read_head_anew)


def _cookies_json(cookie: str | None) -> str:
    if not cookie:
        return "{}"
    # werkzeug expects a header as WSGI has it: bytes dressed up as Latin-1.
    parsed = parse_cookie(cookie.encode().decode("latin-1"))
    return orjson.dumps(parsed.to_dict()).decode()


def find_resource(
    request: HttpRequest, *, root_enabled: bool, root_spec: QualifiedName | None
) -> Resource:
    """Tell what the path names: the root, a relation, or a function under `rpc`.

    With a `root_spec` the root is that function.
    """
    name, slash, rest = request.path.removeprefix("/").partition("/")
    if not name and not slash:
        if not root_enabled:
            raise RestError(404, "PGRST126", "Root endpoint metadata is disabled")
        if root_spec is not None:
            action = _action(_CALL_ACTIONS, request, is_call=True)
            return Resource("function", root_spec.name, action)
        return Resource("root", "", _action(_ROOT_ACTIONS, request))
    if not slash:
        return Resource("table", name, _action(_TABLE_ACTIONS, request))
    if name == "rpc" and rest and "/" not in rest:
        return Resource("function", rest, _action(_CALL_ACTIONS, request, is_call=True))
    raise invalid_path()


def _action(actions: dict[str, str], request: HttpRequest, *, is_call: bool = False) -> str:
    action = actions.get(request.method)
    if action is None and is_call:
        raise RestError(405, "PGRST101", f"Cannot use the {request.method} method on RPC")
    if action is None:
        raise unsupported_method(request.method)
    return action


def has_body(action: str, method: str) -> bool:
    return action in _READS_BODY or (action == "call" and method == "POST")


async def read_body(receive: Receive, limit: int | None) -> bytes:
    """Read the whole body, refusing more than `limit` bytes while they arrive."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        chunk = message.get("body", b"")
        size += len(chunk)
        if limit is not None and size > limit:
            raise RestError(413, "PGRST102", f"The body is larger than {limit} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


class ClientDisconnectedError(Exception):
    """The client went away before it had sent its request."""
