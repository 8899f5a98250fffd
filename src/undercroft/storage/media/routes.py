"""`/upload`: files that people add to their accounts, and their pictures."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from undercroft.foundation.access import Needs, Permission, SignedIn, UsersOnly
from undercroft.foundation.db import Page, PageRequest
from undercroft.foundation.http import (
    CurrentActor,
    Foundation,
    Parts,
    Router,
    Session,
    idempotency,
    searched_by,
    sorted_by,
)
from undercroft.foundation.http.idempotency import Fingerprint
from undercroft.foundation.ids import new_id
from undercroft.foundation.problems import ClientGone, MissingPermission, Problem
from undercroft.storage.errors import FileTooLarge, FileTypeRefused, StorageFull
from undercroft.storage.media import fetching, incoming, pictures, queries, schemas, service
from undercroft.storage.media.access import Limits, MediaToDelete, MediaToRead, TargetRules
from undercroft.storage.media.downloads import download
from undercroft.storage.media.errors import (
    MediaNotFound,
    PictureTooLarge,
    PictureUnreadable,
    TooManyFetches,
    UploadEmpty,
    UploadMalformed,
    UploadMissing,
    UploadsFull,
    UploadUrlRefused,
)
from undercroft.storage.media.models import Media
from undercroft.storage.parts import FilesParts

PERMISSIONS = (
    Permission("uploads:create", "Add files to one's account."),
    Permission("uploads:delete", "Remove files from one's account."),
    Permission("uploads:manage", "See and remove the files of every account."),
)
UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/json": {"schema": schemas.MediaFetch.model_json_schema()},
        },
    },
    "responses": {
        "202": {
            "description": "The file is being fetched",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/MediaRead"}}},
        }
    },
}
PICTURE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": UPLOAD_BODY["requestBody"]["content"]["multipart/form-data"]
        },
    }
}
FETCH_TYPES = ("application/json",)

router = Router("/upload", tag="storage")
picture_router = Router("/settings", tag="storage")


@router.post(
    "/media",
    access=Needs("uploads:create"),
    rate="upload",
    status_code=201,
    streams=True,
    openapi=UPLOAD_BODY,
    response_model=schemas.MediaRead,
    problems=(
        UploadMissing,
        UploadMalformed,
        UploadEmpty,
        UploadUrlRefused,
        UploadsFull,
        TooManyFetches,
        FileTooLarge,
        FileTypeRefused,
        StorageFull,
        UsersOnly,
        ClientGone,
    ),
)
async def upload_media(
    request: Request,
    session: Session,
    parts: Parts,
    files: FilesParts,
    limits: Limits,
    rules: TargetRules,
    actor: CurrentActor,
    public: Annotated[
        bool, Query(description="Whether whoever knows the address may see the file.")
    ] = True,
) -> Response:
    """Add a file: the part `file` of a form, or JSON with a `url` that it is fetched from.

    A file of a form is there at once (201). One by URL is fetched in the background (202): ask for
    it by its id until its `state` is `stored` or `failed`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in FETCH_TYPES:
        body = await _body(request)

        async def fetch() -> Response:
            wish = _parsed(body)
            media = await fetching.request_fetch(session, rules, limits, wish, actor=actor)
            return _answer(service.read(media, parts.settings), 202)

        return await _once(request, session, parts, Fingerprint(body), fetch)
    found = await incoming.read_file(request)
    owner_id, chunks = service.owner_of(actor), found.chunks()
    fingerprint = Fingerprint(found.name, found.declared_type)
    if idempotency.is_asked(request):
        chunks = fingerprint.of(chunks)
    else:  # of who asks again, the room may be taken by this very file
        async with parts.database.unit_of_work() as own:
            await service.check_room(own, limits, owner_id)
    offered = service.Offered(found.name, found.declared_type, chunks)
    staged = await service.stage(files, limits, offered, public=public)

    async def keep() -> Response:
        media = Media(id=new_id(), owner_id=owner_id, is_public=public, name=found.name)
        await service.add(session, files, limits, media, staged)
        return _answer(service.read(media, parts.settings), 201)

    try:
        answer = await _once(request, session, parts, fingerprint, keep)
    except Problem:
        await files.discard(staged.blob_id, staged.parts)
        raise
    if idempotency.is_replayed(answer):
        await files.discard(staged.blob_id, staged.parts)
    return answer


@router.get("/media", access=SignedIn(), problems=(MissingPermission,))
async def list_media(
    session: Session,
    page: Annotated[PageRequest, sorted_by("created_at", "name", "size_bytes")],
    parts: Parts,
    actor: CurrentActor,
    owner_id: Annotated[
        UUID | None, Query(description="Somebody else's, with `uploads:manage`.")
    ] = None,
    search: Annotated[str | None, searched_by("Part of the name.")] = None,
) -> Page[schemas.MediaRead]:
    """Your files, newest first."""
    assert actor.user_id
    owner = owner_id or actor.user_id
    if owner != actor.user_id and not actor.has(service.MANAGE):
        raise MissingPermission(service.MANAGE)
    found, cursor, total = await queries.list_media(session, page, owner, search=search)
    items = [service.read(media, parts.settings) for media in found]
    return Page[schemas.MediaRead](items=items, next_cursor=cursor, total=total)


@router.get("/usage", access=SignedIn())
async def get_upload_usage(
    session: Session, limits: Limits, actor: CurrentActor
) -> schemas.MediaUsage:
    """How much you keep, and how much you may."""
    return await service.read_usage(session, limits, service.owner_of(actor))


@router.get("/media/{file_id}", access=SignedIn(), problems=(MediaNotFound,))
async def get_media(media: MediaToRead, parts: Parts) -> schemas.MediaRead:
    """One file of yours, or anybody's with `uploads:manage`."""
    return service.read(media, parts.settings)


@router.get(
    "/media/{file_id}/content",
    access=SignedIn(),
    problems=(MediaNotFound,),
    response_class=StreamingResponse,
)
async def download_media(
    request: Request, media: MediaToRead, files: FilesParts, limits: Limits
) -> Response:
    """The bytes of a file of yours, as a download. For those without a public address."""
    bucket = service.bucket_of(limits, public=media.is_public)
    found = media.object_name and await files.find(bucket=bucket, name=media.object_name)
    if not found:
        raise MediaNotFound
    return await download(files, request, found, media.name or found.name)


@router.delete(
    "/media/{file_id}",
    access=Needs("uploads:delete"),
    status_code=204,
    problems=(MediaNotFound,),
)
async def delete_media(
    media: MediaToDelete, session: Session, files: FilesParts, limits: Limits, actor: CurrentActor
) -> None:
    """Remove a file of yours, or anybody's with `uploads:manage`. Its address is dead at once."""
    await service.delete_media(session, files, limits, media, actor=actor)


@picture_router.post(
    "/profile-picture",
    access=SignedIn(),
    rate="upload",
    streams=True,
    openapi=PICTURE_BODY,
    problems=(
        UploadMissing,
        UploadMalformed,
        PictureUnreadable,
        PictureTooLarge,
        FileTooLarge,
        StorageFull,
        ClientGone,
    ),
)
async def upload_profile_picture(
    request: Request,
    session: Session,
    parts: Parts,
    files: FilesParts,
    studio: pictures.StudioParts,
    actor: CurrentActor,
) -> schemas.PictureRead:
    """Set your picture: the part `file` of a form, a JPEG, PNG, GIF or WebP image.

    It is drawn anew within a square, so that nothing but the picture is kept: no place, no camera.
    """
    found = await incoming.read_file(request)
    content = await pictures.collect(found.chunks(), parts.settings.uploads)
    drawn = await studio.draw(content)
    url = await pictures.set_picture(session, files, parts.settings, drawn, actor=actor)
    return schemas.PictureRead(picture_url=url)


@picture_router.delete("/profile-picture", access=SignedIn(), status_code=204)
async def delete_profile_picture(session: Session, files: FilesParts, actor: CurrentActor) -> None:
    """Remove your picture; its address is dead at once."""
    await pictures.remove_picture(session, files, actor=actor)


async def _body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as error:
        raise ClientGone from error


async def _once(
    request: Request,
    session: Session,
    parts: Foundation,
    fingerprint: Fingerprint,
    handle: Callable[[], Awaitable[Response]],
) -> Response:
    if not idempotency.is_asked(request):
        return await handle()
    return await idempotency.run_streamed_once(request, session, parts, fingerprint, handle)


def _parsed(body: bytes) -> schemas.MediaFetch:
    try:
        return schemas.MediaFetch.model_validate_json(body)
    except ValidationError as error:
        raise UploadMissing from error


def _answer(read: schemas.MediaRead, status: int) -> Response:
    return JSONResponse(read.model_dump(mode="json"), status)
