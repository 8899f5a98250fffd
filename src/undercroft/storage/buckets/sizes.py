"""Sizes as clients write them: a number of bytes, or `50MB` in powers of 1024."""

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*(B|KB|MB|GB|TB)?\s*", re.IGNORECASE)
POWERS = {"B": 0, "KB": 1, "MB": 2, "GB": 3, "TB": 4}


def _read_size(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    found = SIZE.fullmatch(given)
    if found is None:
        message = "Invalid file size format, hint: use 20GB / 20MB / 30KB / 3B"
        raise ValueError(message)
    return int(Decimal(found[1]) * 1024 ** POWERS[(found[2] or "B").upper()])


# Zero is no limit, as those who come from Supabase expect.
FileSize = Annotated[int, BeforeValidator(_read_size), Field(ge=0, le=2**60)]
