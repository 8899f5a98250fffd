"""JSON in and out with every digit of its numbers: a float would lose some that `numeric` keeps."""

import json
from typing import Any, NoReturn

import orjson


class Numeral(str):
    """A number as it was written."""

    __slots__ = ()


def loads(raw: bytes | str) -> Any:
    """Parse strictly. Raises `ValueError`, or `RecursionError` for what is nested too deeply."""
    return json.loads(raw, parse_float=Numeral, parse_int=_integer, parse_constant=_not_a_number)


def dumps(value: Any) -> bytes:
    """Raises `TypeError` for lone surrogates and deep nesting."""
    return orjson.dumps(value, default=_numeral, option=orjson.OPT_PASSTHROUGH_SUBCLASS)


def _integer(text: str) -> int | Numeral:
    # orjson writes 64 bits; more digits are kept as they stand.
    return int(text) if len(text) < 19 else Numeral(text)


def _not_a_number(word: str) -> NoReturn:
    raise ValueError(word)


def _numeral(value: Any) -> Any:
    if isinstance(value, Numeral):
        return orjson.Fragment(str(value))
    raise TypeError(type(value).__name__)
