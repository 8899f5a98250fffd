"""Resizing with Pillow, in threads of its own.

What an image costs is known from its head: pixels are counted before any is decoded, so that a
small file that unpacks to gigabytes is refused for nothing.
"""

import asyncio
import io
import warnings
from concurrent.futures import ThreadPoolExecutor

from PIL import Image, ImageOps, UnidentifiedImageError

from undercroft.foundation.problems import Unavailable
from undercroft.foundation.settings import StorageSettings
from undercroft.storage.images.scans import has_many_scans
from undercroft.storage.images.wishes import Wish
from undercroft.storage.metrics import images_refused, images_rendered
from undercroft.storage.wire import Refusal

# Formats whose decoders are worth trusting with strangers' files.
READABLE = ("PNG", "JPEG", "WEBP", "GIF", "AVIF", "BMP", "TIFF")
MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "GIF": "image/gif",
}
WRITABLE = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP", "avif": "AVIF"}


class NotAnImage(Refusal):
    def __init__(self) -> None:
        super().__init__(400, "InvalidRequest", "The file is not an image that can be resized")


class ImageTooLarge(Refusal):
    def __init__(self) -> None:
        super().__init__(
            413, "EntityTooLarge", "The image is too large to resize", error="Payload too large"
        )


class Resizer:
    """A few threads, and a queue that ends: a burst of images must not stop downloads."""

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.image_threads, "images")
        self._room = settings.image_threads + settings.image_queue

    def enter(self) -> "_Place":
        """Take a place before the file is read into memory. Raises `Unavailable` when full."""
        if self._room <= 0:
            images_refused.inc()
            raise Unavailable
        return _Place(self)

    def take(self) -> None:
        self._room -= 1

    def give_back(self) -> None:
        self._room += 1

    async def resize(self, content: bytes, wish: Wish, accept: str) -> tuple[bytes, str]:
        """(image, media type). Raises `NotAnImage`, `ImageTooLarge`."""
        loop = asyncio.get_running_loop()
        try:
            done = await loop.run_in_executor(
                self._threads, _resize, content, wish, accept, self._settings.max_image_pixels
            )
        except Refusal:
            images_refused.inc()
            raise
        images_rendered.inc()
        return done


class _Place:
    def __init__(self, resizer: Resizer) -> None:
        self._resizer = resizer

    def __enter__(self) -> None:
        self._resizer.take()

    def __exit__(self, *_: object) -> None:
        self._resizer.give_back()


def _resize(content: bytes, wish: Wish, accept: str, max_pixels: int) -> tuple[bytes, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about odd files; what matters raises
            with Image.open(io.BytesIO(content), formats=READABLE) as image:
                if image.width * image.height > max_pixels:
                    raise ImageTooLarge
                if has_many_scans(content):
                    raise NotAnImage
                return _render(image, wish, accept, max_pixels)
    except Image.DecompressionBombError as error:
        raise ImageTooLarge from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError) as error:
        raise NotAnImage from error


def _render(image: Image.Image, wish: Wish, accept: str, max_pixels: int) -> tuple[bytes, str]:
    kind = _format(image, wish, accept)
    size = _size(image, wish)
    if size:
        image.draft("RGB", size)  # JPEG decodes at an eighth of the work where that is enough
    turned = ImageOps.exif_transpose(image)
    scaled = _scale(turned, wish, _size(turned, wish), max_pixels)
    mode = "RGB" if kind == "JPEG" else _mode(scaled)
    target = io.BytesIO()
    scaled.convert(mode).save(target, kind, **_options(kind, wish))
    return target.getvalue(), MEDIA_TYPES[kind]


def _scale(
    image: Image.Image, wish: Wish, size: tuple[int, int] | None, max_pixels: int
) -> Image.Image:
    if size is None:
        return image
    covers = wish.resize == "cover" and wish.width and wish.height
    # A very long image made wider is a very large one, also on the way: rows shrink last.
    if not covers and size[0] * max(size[1], image.height) > max_pixels:
        raise ImageTooLarge
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    filtered = Image.Resampling.LANCZOS
    if covers:
        return ImageOps.fit(image, size, filtered)
    return image.resize(size, filtered)


def _size(image: Image.Image, wish: Wish) -> tuple[int, int] | None:
    """The size to make: a side that is not given follows the other; `contain` fits within both."""
    width, height = wish.width, wish.height
    if width is None and height is None:
        return None
    if width is None or height is None:
        factor = (width or 0) / image.width or (height or 0) / image.height
        return _at_least_one(image.width * factor, image.height * factor)
    if wish.resize == "contain":
        factor = min(width / image.width, height / image.height)
        return _at_least_one(image.width * factor, image.height * factor)
    return width, height


def _at_least_one(width: float, height: float) -> tuple[int, int]:
    return max(1, round(width)), max(1, round(height))


def _format(image: Image.Image, wish: Wish, accept: str) -> str:
    own = image.format if image.format in MEDIA_TYPES else "PNG"
    if wish.format in WRITABLE:
        return WRITABLE[wish.format]
    if wish.format is None and "image/webp" in accept:
        return "WEBP"
    return own or "PNG"


def _mode(image: Image.Image) -> str:
    transparent = "A" in image.getbands() or "transparency" in image.info
    return "RGBA" if transparent else "RGB"


def _options(kind: str, wish: Wish) -> dict[str, int | bool]:
    if kind in {"JPEG", "WEBP"}:
        return {"quality": wish.quality}
    if kind == "AVIF":
        return {"quality": wish.quality, "speed": 8, "max_threads": 1}
    return {"optimize": False}
