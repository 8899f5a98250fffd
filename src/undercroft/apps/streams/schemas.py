"""Streams on the wire."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import (
    AfterValidator,
    AliasChoices,
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StringConstraints,
    TypeAdapter,
    UrlConstraints,
    create_model,
)

from undercroft import Moment

SCHEMES = ["rtsp", "rtsps", "rtmp", "rtmps", "http", "https"]
_URL: TypeAdapter[Any] = TypeAdapter(
    Annotated[AnyUrl, UrlConstraints(allowed_schemes=SCHEMES, host_required=True)]
)


def _a_stream_url(text: str) -> str:
    """As RFC 3986 writes it: others, which browsers still understand, could hide a password."""
    _URL.validate_python(text)
    if not urlsplit(text).hostname:
        message = "write it as scheme://host"
        raise ValueError(message)
    return text


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=80),
    Field(validation_alias=AliasChoices("name", "stream_name"), examples=["gate"]),
]
StreamUrl = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2000, pattern=r"^[!-\[\]-~]+$"),
    AfterValidator(_a_stream_url),
    Field(description="rtsp, rtmp, http or https.", examples=["rtsp://10.0.0.7/live"]),
]
ModelKey = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[\w.-]+$")]
Hour = Annotated[StrictInt, Field(ge=0, le=24)]
Expiry = Annotated[
    Moment | None,
    Field(
        validation_alias=AliasChoices("expires_at", "expire_date"),
        description="Detectors leave it alone from then on.",
    ),
]


class Incoming(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StreamCreate(Incoming):
    name: Name
    video_url: StreamUrl
    model_key: ModelKey = "yolo11x"
    detect_with_server: StrictBool = True
    store_in_redis: StrictBool = False
    work_start_hour: Hour = 7
    work_end_hour: Hour = 18
    detect_no_safety_vest_or_helmet: StrictBool = False
    detect_near_machinery_or_vehicle: StrictBool = False
    detect_in_restricted_area: StrictBool = False
    detect_in_utility_pole_restricted_area: StrictBool = False
    detect_machinery_close_to_pole: StrictBool = False
    expires_at: Expiry = None


_FIELDS: dict[str, Any] = {
    key: (field.rebuild_annotation(), None) for key, field in StreamCreate.model_fields.items()
}
_FIELDS["name"], _FIELDS["expires_at"] = (Name, None), (Expiry, None)
StreamUpdate = create_model(
    "StreamUpdate", __base__=Incoming, __doc__="Left out: unchanged.", **_FIELDS
)


class StreamRead(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    site_id: UUID
    name: str
    video_url: str = Field(
        description="Without its password unless you run the site, or are a key."
    )
    model_key: str
    detect_with_server: bool
    store_in_redis: bool
    work_start_hour: int
    work_end_hour: int
    detect_no_safety_vest_or_helmet: bool
    detect_near_machinery_or_vehicle: bool
    detect_in_restricted_area: bool
    detect_in_utility_pole_restricted_area: bool
    detect_machinery_close_to_pole: bool
    expires_at: datetime | None
    is_expired: bool
    created_at: datetime
    updated_at: datetime


class StreamLimit(BaseModel):
    organization_id: UUID
    max_allowed_streams: int
    current_streams_count: int


class StreamLimitUpdate(Incoming):
    max_allowed_streams: StrictInt = Field(
        ge=0, le=1_000_000, description="What there is already beyond it stays."
    )
