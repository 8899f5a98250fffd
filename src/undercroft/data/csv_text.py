"""CSV that people send: whole bodies, and one line of it where they list names or keys."""

import csv
import io
import sys
from collections.abc import Iterator

CsvInvalid = csv.Error

# Python's own bound of a value is 128 KiB, for the process; bodies are bounded as a whole.
csv.field_size_limit(sys.maxsize)


def read(text: str) -> Iterator[list[str]]:
    """Read line by line, strictly. Raises `CsvInvalid`."""
    return csv.reader(io.StringIO(text, newline=""), strict=True)


def fields(line: str) -> list[str]:
    """The values of one line; none of what is no line."""
    try:
        return next(csv.reader([line]), [])
    except CsvInvalid:
        return []
