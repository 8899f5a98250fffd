"""`/bucket`: requests in, answers out."""

import re
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from undercroft.storage.buckets import service
from undercroft.storage.buckets.sizes import FileSize
from undercroft.storage.desk import Desk
from undercroft.storage.names import bucket_name
from undercroft.storage.sniffing import MEDIA_TYPE
from undercroft.storage.wire import Answer, Refusal, Request, answer_json, invalid

LONGEST_LIST = 1000
# One type, all of a kind, or all there are.
TYPES = re.compile(rf"{MEDIA_TYPE.pattern}|[a-z]{{1,20}}/\*|\*/\*")
SORTABLE = frozenset({"id", "name", "created_at", "updated_at"})


class BucketUpdate(BaseModel):
    public: bool | None = None
    file_size_limit: FileSize | None = None
    allowed_mime_types: list[str] | None = Field(None, max_length=200)
    versioning_status: str | None = None

    def check_versioning(self) -> None:
        """Replaced files are gone here: whoever relies on their return is told in time."""
        if self.versioning_status not in {None, "DISABLED"}:
            raise Refusal(400, "NotSupported", "Buckets keep one version of each file")


class BucketCreate(BucketUpdate):
    id: str | None = None
    name: str
    type: str | None = None
    organization_id: UUID | None = None


async def list_buckets(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    query = request.query
    column = query.get("sortColumn", "id")
    order = query.get("sortOrder", "asc")
    if "\x00" in query.get("search", ""):
        raise invalid("search is not valid")
    if column not in SORTABLE or order not in {"asc", "desc"}:
        raise invalid("sortColumn and sortOrder are not known")
    page = service.BucketPage(
        limit=_number(query, "limit", LONGEST_LIST, least=1),
        offset=_number(query, "offset", 0, least=0),
        search=query.get("search", ""),
        column=column,
        descending=order == "desc",
    )
    return answer_json(await service.list_buckets(desk.files, caller, page))


async def get_bucket(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    return answer_json(await service.get_bucket(desk.files, caller, request.path[1]))


async def create_bucket(desk: Desk, request: Request) -> Answer:
    from undercroft.storage.routing import RESERVED  # noqa: PLC0415 - its table names us

    caller = await request.caller()
    wanted = await request.json(BucketCreate)
    wanted.check_versioning()
    name = bucket_name(wanted.id or wanted.name)
    if name in RESERVED:
        raise Refusal(400, "InvalidBucketName", "Bucket name invalid", error="Invalid Input")
    if (wanted.type or "STANDARD").upper() != "STANDARD":
        raise Refusal(400, "NotSupported", "Only buckets of the type STANDARD can be made")
    new = service.NewBucket(
        name,
        public=bool(wanted.public),
        file_size_limit=wanted.file_size_limit,
        types=_types(wanted.allowed_mime_types),
        organization_id=wanted.organization_id or caller.organization_id,
    )
    await service.create_bucket(desk.files, caller, new)
    return answer_json({"name": name})


async def update_bucket(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    wanted = await request.json(BucketUpdate)
    wanted.check_versioning()
    sent: dict[str, Any] = {
        "file_size_limit": wanted.file_size_limit,
        "allowed_mime_types": _types(wanted.allowed_mime_types),
    }
    changes = {name: value for name, value in sent.items() if name in wanted.model_fields_set}
    if wanted.public is not None:
        changes["public"] = wanted.public
    await service.update_bucket(desk.files, caller, request.path[1], changes)
    return answer_json({"message": "Successfully updated"})


async def empty_bucket(desk: Desk, request: Request) -> Answer:
    if request.path[2] != "empty":
        raise Refusal(404, "not_found", "Route not found")
    caller = await request.caller()
    await service.empty_bucket(desk.files, caller, request.path[1])
    return answer_json({"message": "Successfully emptied"})


async def delete_bucket(desk: Desk, request: Request) -> Answer:
    caller = await request.caller()
    await service.delete_bucket(desk.files, caller, request.path[1])
    return answer_json({"message": "Successfully deleted"})


def _types(given: list[str] | None) -> list[str] | None:
    for kind in given or ():
        if not TYPES.fullmatch(kind.strip().lower()):
            raise Refusal(
                415,
                "InvalidMimeType",
                f"mime type {kind} is not supported",
                error="invalid_mime_type",
            )
    return [kind.strip().lower() for kind in given] if given else None


def _number(query: dict[str, str], name: str, default: int, *, least: int) -> int:
    given = query.get(name, str(default))
    if not given.isdecimal() or not least <= int(given) <= 2**31:
        raise invalid(f"{name} must be a number of at least {least}")
    return min(int(given), LONGEST_LIST) if name == "limit" else int(given)
