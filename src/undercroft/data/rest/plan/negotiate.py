"""Chooses the media type of an answer and what writes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from undercroft.data.rest import media
from undercroft.data.rest.errors import unacceptable_media_types
from undercroft.data.rest.media import MediaType
from undercroft.data.schema.model import Catalog, MediaHandler, QualifiedName


class Writer(Enum):
    """The ways to turn the rows of a result into a body."""

    JSON = auto()
    JSON_STRIPPED = auto()
    OBJECT = auto()
    OBJECT_STRIPPED = auto()
    CSV = auto()
    GEOJSON = auto()
    CUSTOM = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """The media type promised, its writer, and the database's handler of a custom one."""

    media_type: MediaType
    writer: Writer
    handler: MediaHandler | None = None

    @property
    def is_object(self) -> bool:
        return self.media_type.name == media.OBJECT


_BUILT_IN = {
    media.ANY: (Writer.JSON, MediaType(media.JSON)),
    media.JSON: (Writer.JSON, MediaType(media.JSON)),
    media.CSV: (Writer.CSV, MediaType(media.CSV)),
    media.GEOJSON: (Writer.GEOJSON, MediaType(media.GEOJSON)),
}


def negotiate(
    catalog: Catalog,
    accepts: Sequence[MediaType],
    target: QualifiedName,
    *,
    whole_rows: bool,
    plan_enabled: bool,
) -> Answer:
    """Take the first accepted type that can be written.

    A handler for the rows of `target` needs them whole, so it is out when columns are selected.
    """
    for accepted in accepts:
        answer = _answer(catalog, accepted, target, whole_rows=whole_rows)
        if answer is not None and (plan_enabled or not accepted.is_plan):
            return answer
    raise unacceptable_media_types(accepted.mime for accepted in accepts)


def _answer(
    catalog: Catalog, accepted: MediaType, target: QualifiedName, *, whole_rows: bool
) -> Answer | None:
    if accepted.plan_for is not None:
        explained = _answer(catalog, accepted.plan_for, target, whole_rows=whole_rows)
        return explained and Answer(accepted, explained.writer, explained.handler)
    if accepted.name == media.OBJECT:
        stripped = accepted.strip_nulls
        return Answer(accepted, Writer.OBJECT_STRIPPED if stripped else Writer.OBJECT)
    if accepted.name == media.ARRAY:
        return Answer(accepted, Writer.JSON_STRIPPED)
    handlers = catalog.handlers
    handler = None
    if whole_rows:
        handler = handlers.get((target, media.ANY)) or handlers.get((target, accepted.name))
    handler = handler or handlers.get((None, accepted.name))
    if handler is not None:
        return Answer(MediaType(handler.media_type), Writer.CUSTOM, handler)
    if accepted.name in _BUILT_IN:
        writer, media_type = _BUILT_IN[accepted.name]
        return Answer(media_type, writer)
    return None
