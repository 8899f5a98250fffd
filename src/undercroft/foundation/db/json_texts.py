"""JSON as Postgres keeps it, which is more than most parsers take."""

import json
from typing import Any

# Python refuses to read longer integers (CVE-2020-10735); nobody compares them digit by digit.
LONGEST_INTEGER = 4000


def read_json(text: str | bytes) -> Any:
    """Whatever a `json` column holds: half surrogates stay, numbers without end are infinite.

    None for what nests deeper than Python reads; Postgres takes thousands of levels.
    """
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError:
        return None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)
