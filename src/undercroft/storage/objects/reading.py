"""Downloads and descriptions of files."""

from undercroft.storage.callers import SYSTEM, Caller
from undercroft.storage.desk import Desk
from undercroft.storage.errors import FileNotFound
from undercroft.storage.links import DOWNLOAD
from undercroft.storage.lookup import StoredFile
from undercroft.storage.names import file_name, is_system
from undercroft.storage.objects.serving import Served, http_date, serve
from undercroft.storage.wire import Answer, Refusal, Request, answer_json

# What may be added to a signed URL without changing what it gives.
HARMLESS = frozenset({"token", "download", "cacheNonce"})


def place(request: Request, literals: int) -> tuple[str, str]:
    """(bucket, name) from the path behind so many literal segments."""
    bucket, *segments = request.path[literals:]
    return bucket, file_name("/".join(segments))


async def find(
    desk: Desk, caller: Caller | None, bucket: str, name: str, version: str | None = None
) -> StoredFile:
    """A file that the caller may see. Raises `FileNotFound` for everything else alike.

    System buckets are nobody's here, unless they are public. There is one version of a file: who
    asks for another gets none.
    """
    if "\x00" in bucket:
        raise FileNotFound
    found = await desk.files.lookup.find(None if is_system(bucket) else caller, bucket, name)
    if found is None or version not in {None, str(found.blob_id)}:
        raise FileNotFound
    return found


async def find_asked(
    desk: Desk, request: Request, caller: Caller | None, literals: int
) -> StoredFile:
    """The file that the path names, in the version that the query may name."""
    return await find(desk, caller, *place(request, literals), request.query.get("versionId"))


async def read(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    literals = 2 if request.path[1] == "authenticated" else 1
    file = await find_asked(desk, request, caller, literals)
    return await serve(desk.files, request, file, Served(public=file.public))


async def read_public(desk: Desk, request: Request) -> Answer:
    file = await find_asked(desk, request, None, 2)
    return await serve(desk.files, request, file, Served(public=True))


async def read_signed(desk: Desk, request: Request) -> Answer:
    file, seconds_left, transform = await open_link(desk, request, 2)
    if transform:  # signed for a small image, not for what it is made of
        raise Refusal(400, "InvalidSignature", "This token is for a transformed image")
    return await serve(desk.files, request, file, Served(seconds_left=seconds_left))


async def open_link(
    desk: Desk, request: Request, literals: int
) -> tuple[StoredFile, int, dict[str, str]]:
    """(file, seconds the link still lives, its image parameters). Raises a `Refusal`."""
    bucket, name = place(request, literals)
    link = desk.links.read(request.query.get("token"), DOWNLOAD, bucket, name)
    transform = link.transform or {}
    added = {key: value for key, value in request.query.items() if key not in HARMLESS}
    if added and added != transform:
        raise Refusal(400, "InvalidSignature", "The query of the signed URL was changed")
    file = await desk.files.lookup.find(SYSTEM, bucket, link.name)
    if file is None or str(file.object_id) != link.object_id:
        raise FileNotFound
    if file.links != link.version:
        raise Refusal(400, "InvalidSignature", "This signed URL was revoked")
    return file, link.seconds_left, transform


async def describe(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    literals = 3 if request.path[2] == "authenticated" else 2
    return _described(await find_asked(desk, request, caller, literals))


async def describe_public(desk: Desk, request: Request) -> Answer:
    return _described(await find_asked(desk, request, None, 3))


def _described(file: StoredFile) -> Answer:
    body = {
        "id": file.object_id,
        "name": file.name,
        "version": file.blob_id,
        "bucket_id": file.bucket,
        "size": file.size_bytes,
        "content_type": file.content_type,
        "content_encoding": file.encoding,
        "cache_control": file.cache_control,
        "etag": file.etag,
        "metadata": file.user_metadata or {},
        "last_modified": file.updated_at,
        "created_at": file.created_at,
    }
    headers = [
        (b"etag", file.etag.encode()),
        (b"last-modified", http_date(file.updated_at)),
        (b"cache-control", b"no-cache, private"),
    ]
    return answer_json(body, headers=headers)
