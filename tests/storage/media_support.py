"""A place with small limits for uploads, and what is sent there."""

import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from PIL import Image
from pydantic import ByteSize
from sqlalchemy import text

from tests.fixtures.actors import Caller
from tests.fixtures.engines import DatabaseFactory, EngineAddresses
from tests.webhooks.conftest import HASTE, Office, an_office, office_settings
from undercroft.foundation.settings import JobSettings, Settings, UploadSettings
from undercroft.storage import SystemBucket

API = "/api/v1"
MEDIA = f"{API}/upload/media"
PICTURE = f"{API}/settings/profile-picture"
LIMITS = UploadSettings(
    max_bytes=ByteSize(300_000),
    quota_per_user=ByteSize(500_000),
    files_per_user=20,
    fetches_per_user=5,
    fetch_timeout=timedelta(seconds=20),
    picture_max_bytes=ByteSize(200_000),
    picture_max_pixels=1_000_000,
)
IN_HASTE = JobSettings(first_retry=timedelta(milliseconds=1), longest_retry=timedelta(seconds=1))


@pytest.fixture(scope="session")
def limited(engines: EngineAddresses, make_database: DatabaseFactory) -> Settings:
    settings = office_settings(engines, make_database(), HASTE)
    return settings.model_copy(update={"uploads": LIMITS, "jobs": IN_HASTE})


@pytest_asyncio.fixture(scope="session")
async def place(limited: Settings) -> AsyncIterator[Office]:
    async with an_office(limited) as place:
        yield place


def picture(side: int = 20, kind: str = "PNG", **options: Any) -> bytes:
    target_ = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(target_, kind, **options)
    return target_.getvalue()


PNG = picture()


def form(content: bytes = PNG, name: str = "cat.png", kind: str = "image/png") -> dict[str, Any]:
    return {"files": {"file": (name, content, kind)}}


async def uploaded(caller: Caller, content: bytes = PNG, **params: Any) -> dict[str, Any]:
    made = await caller.post(MEDIA, **form(content), params=params)
    assert made.status_code == 201, made.text
    return dict(made.json())


async def objects(place: Office, owner: str) -> int:
    """How many files storage keeps for somebody."""
    count = text("SELECT count(*) FROM storage.objects WHERE owner = :owner")
    async with place.app.parts.database.unit_of_work() as session:
        return int(await session.scalar(count, {"owner": UUID(owner)}) or 0)


async def served(place: Office, url: str) -> bytes | None:
    """What stands behind a public address."""
    bucket, _, name = url.partition("/object/public/")[2].partition("/")
    files = place.app.control.state.files
    found = await files.find(bucket=SystemBucket(bucket, public=True), name=name)
    return b"".join([piece async for piece in files.read(found)]) if found else None
