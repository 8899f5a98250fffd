"""What people may upload to their accounts, and how much of it."""

from datetime import timedelta

from pydantic import ByteSize, Field

from undercroft.foundation.settings.group import SettingsGroup

OFFICE = "application/vnd.openxmlformats-officedocument"
TYPES = (
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "application/pdf",
    "video/mp4",
    "video/webm",
    "video/quicktime",
    "text/plain",
    "text/csv",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    f"{OFFICE}.wordprocessingml.document",
    f"{OFFICE}.spreadsheetml.sheet",
    f"{OFFICE}.presentationml.presentation",
    "application/vnd.oasis.opendocument.text",
)


class UploadSettings(SettingsGroup):
    max_bytes: ByteSize = Field(ByteSize(15_000_000), description="Largest file of an account.")
    types: tuple[str, ...] = Field(
        TYPES, description="Accepted media types, judged by content; `image/*` is all of a kind."
    )
    quota_per_user: ByteSize = Field(
        ByteSize(500_000_000), description="What the files of one account may add up to."
    )
    files_per_user: int = Field(1000, ge=1, description="Files that one account may keep.")
    fetches_per_user: int = Field(
        10, ge=1, description="Uploads by URL of one account that may be under way."
    )
    fetch_timeout: timedelta = Field(
        timedelta(seconds=60),
        le=timedelta(minutes=4),
        description="For fetching one file by its URL, from the name to the last byte.",
    )
    picture_max_bytes: ByteSize = Field(
        ByteSize(5_000_000), description="Largest profile picture that may be sent."
    )
    picture_max_pixels: int = Field(
        25_000_000, ge=1, description="Most pixels of a profile picture that is sent."
    )
    picture_side: int = Field(
        512, ge=16, le=4096, description="Profile pictures are kept within a square of this side."
    )
