"""Request bodies: JSON, CSV and forms become one JSON text that the database takes apart."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from undercroft.data import csv_text, json_text
from undercroft.data.rest import media
from undercroft.data.rest.errors import RestError, invalid_body

_WHITESPACE = b" \t\r\n"
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Payload:
    """`text` goes to the database as it is; `keys` are the columns or arguments it brings.

    `pairs` is set for a form sent to a function, whose arguments may repeat.
    """

    text: str
    keys: tuple[str, ...]
    is_object: bool = False
    pairs: tuple[tuple[str, str], ...] | None = None


def read_rows(body: bytes, content_type: str, columns: tuple[str, ...] | None) -> Payload:
    """Read the rows of an insert or update. With `columns` given the JSON is not looked into."""
    if content_type == media.JSON:
        return _trusted_json(body, columns) if columns is not None else _json(body)
    if content_type == media.CSV:
        return _csv(body)
    if content_type == media.FORM:
        values = dict(_form(body))
        return Payload(_dump(values), tuple(sorted(values)), is_object=True)
    raise _not_acceptable(content_type)


def read_arguments(body: bytes, content_type: str, columns: tuple[str, ...] | None) -> Payload:
    """Read the arguments of a function call, which may also be one raw value."""
    if content_type == media.FORM:
        pairs = _form(body)
        keys = tuple(sorted({name for name, _ in pairs}))
        return Payload(_dump(dict(pairs)), keys, is_object=True, pairs=tuple(pairs))
    if content_type in (media.TEXT, media.XML):
        return Payload(_decode(body), ())
    if content_type == media.BYTES:
        return Payload("\\x" + body.hex(), ())
    if content_type == media.JSON and not body and columns is None:
        return Payload("{}", (), is_object=True)
    return read_rows(body, content_type, columns)


def _trusted_json(body: bytes, columns: tuple[str, ...]) -> Payload:
    return Payload(_decode(body), tuple(sorted(set(columns))), body.lstrip(_WHITESPACE)[:1] == b"{")


def _json(body: bytes) -> Payload:
    value = _parse(body)
    if isinstance(value, dict):
        return Payload(_decode(body), tuple(sorted(value)), is_object=True)
    if not isinstance(value, list) or not value:
        return Payload("[]", ())
    return Payload(_decode(body), _uniform_keys(value, "All object keys must match"))


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # It may be for a number beyond a double, `1e400`, or half a character.
        if _HALF_CHARACTER.search(body):
            raise invalid_body("Empty or invalid json") from error
    try:
        return json_text.loads(_decode(body))  # as a text, or UTF-16 would do as well
    except (ValueError, RecursionError) as error:
        raise invalid_body("Empty or invalid json") from error


def _uniform_keys(rows: Sequence[Any], message: str) -> tuple[str, ...]:
    first = rows[0]
    if not isinstance(first, dict):
        raise invalid_body(message)
    keys = first.keys()
    if not all(isinstance(row, dict) and row.keys() == keys for row in rows):
        raise invalid_body(message)
    return tuple(sorted(keys))


def _csv(body: bytes) -> Payload:
    try:
        lines = list(csv_text.read(_decode(body)))
    except csv_text.CsvInvalid as error:
        raise invalid_body(f"parse error (Failed reading: {error})") from error
    filled = [line for line in lines if line]
    if not filled:
        raise invalid_body("parse error (not enough input)")
    header, *rows = filled
    if any(len(row) != len(header) for row in rows):
        raise invalid_body("All lines must have same number of fields")
    objects = [
        {name: None if cell == "NULL" else cell for name, cell in zip(header, row, strict=True)}
        for row in rows
    ]
    return Payload(_dump(objects), tuple(sorted(set(header))) if objects else ())


def _form(body: bytes) -> list[tuple[str, str]]:
    return parse_qsl(_decode(body.replace(b";", b"&")), keep_blank_values=True)


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise invalid_body("Empty or invalid json") from error


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()


def _not_acceptable(content_type: str) -> RestError:
    return invalid_body(f"Content-Type not acceptable: {content_type}")
