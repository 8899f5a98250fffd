"""Profile pictures: drawn anew, kept under an address that cannot be guessed.

Storage provides their route, although accounts are identity's: it may look down at accounts, and
identity need not know that there are files.
"""

import asyncio
import io
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from undercroft.foundation.access import Actor
from undercroft.foundation.crypto import new_secret
from undercroft.foundation.problems import Unavailable
from undercroft.foundation.settings import Settings, UploadSettings
from undercroft.identity.users import queries as users
from undercroft.identity.users.service import update_user
from undercroft.storage.errors import FileTooLarge
from undercroft.storage.files import Files, SystemBucket
from undercroft.storage.images.scans import has_many_scans
from undercroft.storage.media.errors import PictureTooLarge, PictureUnreadable
from undercroft.storage.media.service import owner_of, public_url

PICTURES = SystemBucket("_profile_pictures", public=True, types=("image/webp",))
READABLE = ("JPEG", "PNG", "GIF", "WEBP")
NAMES = text("SELECT name FROM storage.objects WHERE bucket_id = :bucket AND owner = :owner")
QUALITY = 85
# How many may wait for the one that is being drawn, before others are told to come back.
LONGEST_QUEUE = 16


class Studio:
    """Draws one picture at a time: a large one takes a hundred megabytes meanwhile."""

    def __init__(self, settings: UploadSettings) -> None:
        self._settings = settings
        self._thread = ThreadPoolExecutor(1, "pictures")
        self._waiting = 0

    async def draw(self, content: bytes) -> bytes:
        """The picture as a WebP of its own.

        Raises `PictureUnreadable`, `PictureTooLarge`, `Unavailable` when too many wait.
        """
        if self._waiting > LONGEST_QUEUE:
            raise Unavailable
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            settings = self._settings
            return await loop.run_in_executor(
                self._thread, _draw, content, settings.picture_side, settings.picture_max_pixels
            )
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


async def get_studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


StudioParts = Annotated[Studio, Depends(get_studio)]


async def collect(chunks: AsyncIterator[bytes], settings: UploadSettings) -> bytes:
    """The whole picture; a few megabytes at most. Raises `FileTooLarge`."""
    most = int(settings.picture_max_bytes)
    found = bytearray()
    async for chunk in chunks:
        found += chunk
        if len(found) > most:
            raise FileTooLarge(most)
    return bytes(found)


async def set_picture(
    session: AsyncSession, files: Files, settings: Settings, drawn: bytes, *, actor: Actor
) -> str:
    """Replace the caller's picture and return its address."""
    owner_id = owner_of(actor)
    staged = await files.stage(_once(drawn), bucket=PICTURES, declared_type="image/webp")
    # Two that replace it at once do so one after the other.
    await users.get_user(session, owner_id, lock=True)
    await _remove_files(session, files, owner_id)
    name = f"{owner_id}/{new_secret(24)}.webp"
    await files.link(session, staged, bucket=PICTURES, name=name, owner=owner_id)
    url = public_url(settings, PICTURES.id, name)
    await update_user(session, owner_id, {"picture_url": url}, actor=actor)
    return url


async def remove_picture(session: AsyncSession, files: Files, *, actor: Actor) -> None:
    owner_id = owner_of(actor)
    await users.get_user(session, owner_id, lock=True)
    await _remove_files(session, files, owner_id)
    await update_user(session, owner_id, {"picture_url": None}, actor=actor)


def _draw(content: bytes, side: int, max_pixels: int) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd files; what matters raises
            with Image.open(io.BytesIO(content), formats=READABLE) as image:
                # Known from the head: a small file that unfolds to gigabytes costs nothing.
                if image.width * image.height > max_pixels:
                    raise PictureTooLarge(max_pixels)
                if has_many_scans(content):
                    raise PictureUnreadable
                return _redraw(image, side)
    except Image.DecompressionBombError as error:
        raise PictureTooLarge(max_pixels) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError) as error:
        raise PictureUnreadable from error


def _redraw(image: Image.Image, side: int) -> bytes:
    image.draft("RGB", (side, side))
    turned = ImageOps.exif_transpose(image)
    transparent = "A" in turned.getbands() or "transparency" in turned.info
    plain = turned.convert("RGBA" if transparent else "RGB")
    plain.thumbnail((side, side), Image.Resampling.LANCZOS)
    # Pixels alone go on: whatever else the file carried stays behind.
    bare = Image.frombytes(plain.mode, plain.size, plain.tobytes())
    target = io.BytesIO()
    bare.save(target, "WEBP", quality=QUALITY)
    return target.getvalue()


async def _remove_files(session: AsyncSession, files: Files, owner_id: UUID) -> None:
    values = {"bucket": PICTURES.id, "owner": owner_id}
    if names := list(await session.scalars(NAMES, values)):
        await files.delete(session, bucket=PICTURES, names=names)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
