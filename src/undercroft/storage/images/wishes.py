"""What is asked of an image, read from the query."""

from collections.abc import Mapping
from dataclasses import dataclass

from undercroft.foundation.settings import StorageSettings
from undercroft.storage.wire import invalid

RESIZES = frozenset({"cover", "contain", "fill"})
FORMATS = frozenset({"origin", "webp", "avif", "jpeg", "jpg", "png"})
KNOWN = frozenset({"width", "height", "resize", "quality", "format"})
LOWEST_QUALITY, USUAL_QUALITY = 20, 80


@dataclass(frozen=True, slots=True)
class Wish:
    """`format` is `origin`, a format by name, or None: the best that the browser takes."""

    width: int | None = None
    height: int | None = None
    resize: str = "cover"
    quality: int = USUAL_QUALITY
    format: str | None = None


def wish_of(query: Mapping[str, str], settings: StorageSettings) -> Wish:
    """Raises a `Refusal` for what is out of bounds."""
    resize = query.get("resize", "cover")
    kind = query.get("format")
    if resize not in RESIZES or (kind is not None and kind not in FORMATS):
        raise invalid("resize or format is not known")
    return Wish(
        _number(query, "width", 1, settings.max_image_side),
        _number(query, "height", 1, settings.max_image_side),
        resize,
        _number(query, "quality", LOWEST_QUALITY, 100) or USUAL_QUALITY,
        "jpeg" if kind == "jpg" else kind,
    )


def _number(query: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    given = query.get(name)
    if given is None:
        return None
    if not given.isdecimal() or len(given) > 6 or not least <= int(given) <= most:
        raise invalid(f"{name} must be a number from {least} to {most}")
    return int(given)
