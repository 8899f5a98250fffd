"""Which handler answers which path.

Literal words win over names of buckets, which therefore cannot be such a word.
"""

from collections.abc import Awaitable, Callable

from undercroft.storage.buckets import handlers as buckets
from undercroft.storage.desk import Desk
from undercroft.storage.images import handlers as images
from undercroft.storage.objects import changing, listing, reading, removing, signing, writing
from undercroft.storage.uploads import handlers as uploads
from undercroft.storage.wire import Answer, Refusal, Request, answer_json

Handler = Callable[[Desk, Request], Awaitable[Answer]]


async def _status(_desk: Desk, _request: Request) -> Answer:
    return answer_json({"healthy": True})


# (method, literal segments, how many more at least, at most): the first that fits answers. None is
# any number. Handlers read what follows the literals from `request.path`.
ROUTES: tuple[tuple[str, tuple[str, ...], int, int | None, Handler], ...] = (
    ("GET", ("status",), 0, 0, _status),
    ("GET", ("bucket",), 0, 0, buckets.list_buckets),
    ("POST", ("bucket",), 0, 0, buckets.create_bucket),
    ("GET", ("bucket",), 1, 1, buckets.get_bucket),
    ("PUT", ("bucket",), 1, 1, buckets.update_bucket),
    ("DELETE", ("bucket",), 1, 1, buckets.delete_bucket),
    ("POST", ("bucket",), 2, 2, buckets.empty_bucket),
    ("POST", ("object", "move"), 0, 0, changing.move),
    ("POST", ("object", "copy"), 0, 0, changing.copy),
    ("POST", ("object", "list"), 1, 1, listing.list_folder),
    ("POST", ("object", "list-v2"), 1, 1, listing.list_page),
    ("POST", ("object", "upload", "sign"), 2, None, signing.sign_upload),
    ("PUT", ("object", "upload", "sign"), 2, None, writing.upload_signed),
    ("POST", ("object", "sign"), 2, None, signing.sign_one),
    ("POST", ("object", "sign"), 1, 1, signing.sign_many),
    ("DELETE", ("object", "sign"), 1, None, signing.revoke),
    ("GET", ("object", "sign"), 2, None, reading.read_signed),
    ("GET", ("object", "public"), 2, None, reading.read_public),
    ("GET", ("object", "authenticated"), 2, None, reading.read),
    ("GET", ("object", "info", "public"), 2, None, reading.describe_public),
    ("GET", ("object", "info", "authenticated"), 2, None, reading.describe),
    ("GET", ("object", "info"), 2, None, reading.describe),
    ("GET", ("object",), 2, None, reading.read),
    ("POST", ("object",), 2, None, writing.upload),
    ("PUT", ("object",), 2, None, writing.upload),
    ("DELETE", ("object",), 1, 1, removing.remove_many),
    ("DELETE", ("object",), 2, None, removing.remove),
    ("GET", ("render", "image", "public"), 2, None, images.render_public),
    ("GET", ("render", "image", "authenticated"), 2, None, images.render),
    ("GET", ("render", "image", "sign"), 2, None, images.render_signed),
    ("OPTIONS", ("upload", "resumable"), 0, None, uploads.options),
    ("POST", ("upload", "resumable", "sign"), 0, 0, uploads.create_signed),
    ("POST", ("upload", "resumable"), 0, 0, uploads.create),
    ("HEAD", ("upload", "resumable", "sign"), 1, 1, uploads.offset),
    ("PATCH", ("upload", "resumable", "sign"), 1, 1, uploads.append),
    ("DELETE", ("upload", "resumable", "sign"), 1, 1, uploads.terminate),
    ("HEAD", ("upload", "resumable"), 1, 1, uploads.offset),
    ("PATCH", ("upload", "resumable"), 1, 1, uploads.append),
    ("DELETE", ("upload", "resumable"), 1, 1, uploads.terminate),
)
# What may have an Idempotency-Key: changes in one transaction, with a small body. Uploads see to
# theirs themselves; resumable ones go by their offsets.
KEYED: frozenset[Handler] = frozenset(
    {
        buckets.create_bucket,
        buckets.update_bucket,
        buckets.delete_bucket,
        buckets.empty_bucket,
        changing.move,
        changing.copy,
        removing.remove_many,
        removing.remove,
        signing.revoke,
    }
)
BY_FIRST: dict[str, list[tuple[str, tuple[str, ...], int, int | None, Handler]]] = {}
for _route in ROUTES:
    BY_FIRST.setdefault(_route[1][0], []).append(_route)
RESERVED = frozenset(
    segments[1] for _, segments, *_ in ROUTES if segments[0] == "object" and len(segments) > 1
)


def find_handler(request: Request) -> Handler:
    """The handler of a request. Raises a `Refusal` for paths and methods that are not there."""
    method, path = request.method, request.path
    if path and path[-1] == "" and path[0] in {"bucket", "upload"}:
        path.pop()
    if path[:2] == ["upload", "resumable"] and "x-http-method-override" in request.headers:
        method = request.method = request.headers["x-http-method-override"].upper()
    wanted = ("HEAD", "GET") if method == "HEAD" else (method,)
    known = False
    for verb, literals, least, most, handler in BY_FIRST.get(path[0] if path else "", ()):
        extra = len(path) - len(literals)
        if extra < least or (most is not None and extra > most):
            continue
        if tuple(path[: len(literals)]) != literals:
            continue
        if verb in wanted:
            return handler
        known = True
    if known:
        raise Refusal(405, "MethodNotAllowed", "This path does not take that method")
    raise Refusal(404, "not_found", f"Route {method}:/{'/'.join(path)} not found")
