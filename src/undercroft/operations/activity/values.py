"""What may stand in an entry: no secrets, no excess, nothing that an erasure must reach."""

import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

SECRET = re.compile(
    r"password|secret|token|otp|passcode|credential|private_key|api_key$|sealed|hash|signature"
    r"|authorization|cookie|_key$",
    re.IGNORECASE,
)
# An entry cannot be changed, so what must go when an account is erased is not put in: that it
# changed is told, its value is not.
PERSONAL = frozenset(
    {
        "email",
        "phone",
        "username",
        "first_name",
        "last_name",
        "middle_name",
        "display_name",
        "birth_date",
        "gender",
        "bio",
        "picture_url",
        "user_metadata",
        "identifier",
        "recipient",
    }
)
MASKED, UNTOLD = "(secret)", "(personal)"
LONGEST_TEXT, MOST_ITEMS, DEEPEST = 500, 50, 5
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def plain(value: Any, *, depth: int = 0) -> Any:
    """As JSON that Postgres stores: texts cut, long lists ended with a count."""
    kind = type(value)
    if depth < DEEPEST and (kind is str or kind is UUID):  # nearly everything
        return text(value if kind is str else str(value), LONGEST_TEXT)
    if isinstance(value, Enum):
        value = value.value
    if depth >= DEEPEST:
        return "…"
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return told(value, depth=depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return _items(list(value), depth)
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes):
        return f"({len(value)} bytes)"
    shown = value.isoformat() if isinstance(value, datetime | date) else str(value)
    return text(shown, LONGEST_TEXT)


def told(values: Mapping[Any, Any], *, depth: int = 0) -> dict[str, Any]:
    """Each value under its name, or what stands for one that is not told."""
    found: dict[str, Any] = {}
    for name, value in islice(values.items(), MOST_ITEMS):
        shown, is_secret, is_personal = _read_name(str(name))
        if value is None or value is True or value is False:
            found[shown] = value
        elif is_secret and not isinstance(value, UUID):
            found[shown] = MASKED
        else:
            found[shown] = UNTOLD if is_personal else plain(value, depth=depth)
    if len(values) > MOST_ITEMS:
        found["…"] = len(values) - MOST_ITEMS
    return found


def text(value: str, longest: int) -> str:
    """Cut, and without what Postgres refuses."""
    found = value[:longest]
    if found.isascii() and "\x00" not in found:  # most are
        return found
    return UNSTORABLE.sub("\ufffd", found)


@lru_cache(maxsize=1024)
def _read_name(name: str) -> tuple[str, bool, bool]:
    """As it is shown, and whether what it names is secret or personal."""
    return text(name, 100), bool(SECRET.search(name)), name in PERSONAL


def _items(values: list[Any], depth: int) -> list[Any]:
    shown = [plain(value, depth=depth + 1) for value in values[:MOST_ITEMS]]
    return [*shown, f"… {len(values) - MOST_ITEMS} more"] if len(values) > MOST_ITEMS else shown
