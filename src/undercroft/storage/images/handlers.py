"""`/render/image`: requests in, answers out."""

import hashlib
from dataclasses import astuple

from undercroft.storage.desk import Desk
from undercroft.storage.images.resizing import ImageTooLarge, NotAnImage
from undercroft.storage.images.wishes import Wish, wish_of
from undercroft.storage.lookup import StoredFile
from undercroft.storage.names import disposition
from undercroft.storage.objects.reading import find_asked, open_link
from undercroft.storage.objects.serving import (
    CREDENTIALS,
    POLICY,
    Served,
    cache_control,
    conditions,
    http_date,
)
from undercroft.storage.sniffing import base_type
from undercroft.storage.wire import Answer, Headers, Request


async def render(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    wish = wish_of(request.query, desk.settings.storage)
    file = await find_asked(desk, request, caller, 3)
    return await _render(desk, request, file, wish, Served(public=file.public))


async def render_public(desk: Desk, request: Request) -> Answer:
    wish = wish_of(request.query, desk.settings.storage)
    file = await find_asked(desk, request, None, 3)
    return await _render(desk, request, file, wish, Served(public=True))


async def render_signed(desk: Desk, request: Request) -> Answer:
    """What was signed is what is made: the query cannot ask for more."""
    file, seconds_left, transform = await open_link(desk, request, 3)
    wish = wish_of(transform, desk.settings.storage)
    return await _render(desk, request, file, wish, Served(seconds_left=seconds_left))


async def _render(
    desk: Desk, request: Request, file: StoredFile, wish: Wish, how: Served
) -> Answer:
    # Negotiated only between WebP and what the file is, so that caches keep two at most.
    accept = "image/webp" if "image/webp" in request.headers.get("accept", "") else ""
    etag = _etag(file, wish, accept)
    headers = _headers(file, etag, how)
    # What was made once needs not be made again to say that it has not changed.
    if refused := conditions(request, etag, file.updated_at.replace(microsecond=0)):
        return Answer(refused, headers=headers)
    if file.encoding or not base_type(file.content_type).startswith("image/"):
        raise NotAnImage
    if file.size_bytes > int(desk.settings.storage.max_image_bytes):
        raise ImageTooLarge
    with desk.resizer.enter():
        content = b"".join([chunk async for chunk in desk.files.read(file)])
        image, media_type = await desk.resizer.resize(content, wish, accept)
    headers.append((b"content-type", media_type.encode()))
    if (asked := request.query.get("download")) is not None:
        named = disposition("attachment", asked or file.name).encode("ascii", "replace")
        headers.append((b"content-disposition", named))
    return Answer(200, image, headers)


def _etag(file: StoredFile, wish: Wish, accept: str) -> str:
    told = repr((file.blob_id.hex, astuple(wish), accept)).encode()
    return f'"{hashlib.sha256(told).hexdigest()[:32]}"'


def _headers(file: StoredFile, etag: str, how: Served) -> Headers:
    return [
        (b"etag", etag.encode()),
        (b"last-modified", http_date(file.updated_at)),
        (b"cache-control", cache_control(file.cache_control, how)),
        (b"vary", b"accept, " + CREDENTIALS if how.by_credentials else b"accept"),
        (b"content-security-policy", POLICY),
        (b"x-content-type-options", b"nosniff"),
        (b"cross-origin-resource-policy", b"cross-origin"),
    ]
