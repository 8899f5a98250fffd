"""`/upload/resumable`: requests in, answers out."""

from typing import Any
from uuid import UUID

import orjson

from undercroft.foundation.problems import Problem
from undercroft.storage.callers import Caller
from undercroft.storage.desk import Desk
from undercroft.storage.errors import FileTooLarge
from undercroft.storage.files import Target
from undercroft.storage.links import UPLOAD, Link
from undercroft.storage.models import Upload
from undercroft.storage.names import file_name
from undercroft.storage.objects.incoming import read_cache_control, read_encoding
from undercroft.storage.objects.writing import signers_caller
from undercroft.storage.uploads import service
from undercroft.storage.uploads.protocol import (
    ALGORITHMS,
    BODY_TYPE,
    EXTENSIONS,
    VERSION,
    Chunk,
    check_version,
    number_in,
    read_metadata,
    tus_headers,
)
from undercroft.storage.wire import Answer, Refusal, Request, invalid

ROOT = "/storage/v1/upload/resumable"


async def options(desk: Desk, _request: Request) -> Answer:
    """What this server can do; asked without credentials."""
    return Answer(
        204,
        headers=[
            (b"tus-version", VERSION.encode()),
            (b"tus-extension", EXTENSIONS.encode()),
            (b"tus-max-size", b"%d" % int(desk.files.settings.max_object_bytes)),
            (b"tus-checksum-algorithm", ",".join(ALGORITHMS).encode()),
            *tus_headers(),
        ],
    )


async def create(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    return await _create(desk, request, caller, None)


async def create_signed(desk: Desk, request: Request) -> Answer:
    """With a signed upload URL's token in `X-Signature` instead of an account."""
    metadata = read_metadata(request)
    link = _link(desk, request, metadata.get("bucketName", ""), metadata.get("objectName", ""))
    return await _create(desk, request, signers_caller(link.owner), link)


async def _create(desk: Desk, request: Request, caller: Caller, link: Link | None) -> Answer:
    check_version(request)
    length = number_in(request, "upload-length")
    metadata = read_metadata(request)
    for name in ("bucketName", "objectName"):
        if not metadata.get(name):
            raise invalid(f"Upload-Metadata must have {name}")
    target = Target(
        metadata["bucketName"],
        file_name(metadata["objectName"].lstrip("/")),
        caller,
        link.upsert if link else request.is_on("x-upsert"),
        read_cache_control(metadata.get("cacheControl")),
        _user_metadata(metadata.get("metadata")),
        encoding=read_encoding(metadata.get("contentEncoding")),
    )
    described = request.headers.get("upload-metadata", "")
    upload = await service.begin(desk.files, target, length, metadata.get("contentType"), described)
    chunk = _chunk(desk, request)
    if request.headers.get("content-type") == BODY_TYPE or not length:
        try:
            upload = await _append(desk, upload, caller, chunk, 0, first=True)
        except (Problem, Refusal):  # nobody is told where it could go on
            await service.terminate(desk.files, upload)
            raise
    area = f"{ROOT}/sign" if link else ROOT
    location = (b"location", f"{area}/{upload.id}".encode())
    return Answer(201, headers=[location, *tus_headers(upload), *chunk.ending])


async def offset(desk: Desk, request: Request) -> Answer:
    check_version(request)
    upload, _ = await _mine(desk, request)
    length = (b"upload-length", b"%d" % upload.length_bytes)
    described = (b"upload-metadata", upload.described.encode("latin-1"))
    return Answer(200, headers=[length, described, *tus_headers(upload)])


async def append(desk: Desk, request: Request) -> Answer:
    check_version(request)
    if request.headers.get("content-type") != BODY_TYPE:
        raise Refusal(415, "TusError", f"Content-Type must be {BODY_TYPE}")
    start = number_in(request, "upload-offset")
    upload, caller = await _mine(desk, request)
    chunk = _chunk(desk, request)
    upload = await _append(desk, upload, caller, chunk, start)
    return Answer(204, headers=[*tus_headers(upload), *chunk.ending])


async def terminate(desk: Desk, request: Request) -> Answer:
    check_version(request)
    upload, _ = await _mine(desk, request)
    await service.terminate(desk.files, upload)
    return Answer(204, headers=tus_headers())


def _chunk(desk: Desk, request: Request) -> Chunk:
    return Chunk(request, desk.files.settings.resumable_patience)


async def _append(
    desk: Desk, upload: Upload, caller: Caller, chunk: Chunk, start: int, *, first: bool = False
) -> Upload:
    try:
        return await service.append(desk.files, upload, caller, chunk, offset=start, first=first)
    except FileTooLarge as error:
        raise Refusal(
            413, "EntityTooLarge", "More bytes came than Upload-Length said", headers=tus_headers()
        ) from error


async def _mine(desk: Desk, request: Request) -> tuple[Upload, Caller]:
    """The upload that the path names, if it is the caller's. Raises a `Refusal` for all others."""
    signed = request.path[2] == "sign"
    caller = None if signed else await request.caller()
    try:
        upload = await service.find(desk.files, UUID(request.path[-1]))
    except ValueError as error:
        raise Refusal(404, "NoSuchUpload", "Upload not found") from error
    if caller is None:
        caller = signers_caller(_link(desk, request, upload.bucket_id, upload.name).owner)
    if upload.caller != caller.name:
        raise Refusal(404, "NoSuchUpload", "Upload not found")
    return upload, caller


def _link(desk: Desk, request: Request, bucket: str, name: str) -> Link:
    return desk.links.read(request.headers.get("x-signature"), UPLOAD, bucket, name)


def _user_metadata(given: str | None) -> dict[str, Any] | None:
    if not given:
        return None
    try:
        found = orjson.loads(given)
    except orjson.JSONDecodeError as error:
        raise invalid("metadata is not JSON") from error
    if not isinstance(found, dict):
        raise invalid("metadata is no object")
    return found
