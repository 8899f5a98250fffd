"""What earlier requests on tables meant, for those that differ from them in values alone.

Values are those of plain filters and what is in a body. Reading a request anew takes a third of the
time that we spend on a row read by its key.
"""

import re
from typing import NamedTuple

from undercroft.data.rest.body import read_rows
from undercroft.data.rest.errors import RestError
from undercroft.data.rest.intent import content_type_of
from undercroft.data.rest.query_string import unquote
from undercroft.data.rest.request import HttpRequest
from undercroft.data.rest.understood import Understood

_KEPT = 1000
# These take the rest of a parameter as it is, whatever it says.
_PLAIN_FILTER = re.compile(rb"(?:^|(?<=&))([^&=]*)=(eq|neq|gte?|lte?)\.([^&]*)")
_PARTS = 4  # between filters, name, operator, value
_LARGEST_BODY = 65_536  # reading a larger one twice is worth more than what is saved
_TRUSTED = b"columns"  # with these named, a body is not looked into

Values = list[str | None]


class Asked(NamedTuple):
    """A request without its values, and the values. `shape` decides what it means."""

    shape: tuple[object, ...]
    names: list[bytes]
    values: Values


def take_apart(request: HttpRequest, role: str, body: bytes | None = None) -> Asked | None:
    """Take a request apart, if it is one on a table. None for a body that has to be read anew."""
    parts = _PLAIN_FILTER.split(request.query)
    names = parts[1::_PARTS]
    values: Values = [unquote(raw.decode("latin-1")) for raw in parts[3::_PARTS]]
    del parts[3::_PARTS]
    shape = (role, request.method, request.path, request.head.deciding, *parts)
    if body is not None:
        if len(body) > _LARGEST_BODY or _TRUSTED in request.query:
            return None
        try:
            payload = read_rows(body, content_type_of(request), None)
        except RestError:
            return None
        values.append(payload.text)
        shape += (payload.keys, payload.is_object)
    return Asked(shape, names, values)


class Familiar:
    """Remembers for one catalogue."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Understood] = {}

    def find(self, asked: Asked) -> Understood | None:
        return self._known.get(asked.shape)

    def remember(self, asked: Asked, understood: Understood, values: Values) -> None:
        """Remember, unless something was cut that is no filter, or a filter was not.

        Nor where `columns` was spelt so that `take_apart` did not see it.
        """
        names = [unquote(name.decode("latin-1")) for name in asked.names]
        query = understood.intent.shape
        filters = [item.key for item in query.filters]
        if names != filters or values != asked.values or query.columns is not None:
            return
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[asked.shape] = understood
