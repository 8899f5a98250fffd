"""What may stand in an entry: no secrets, no excess, nothing that an erasure must reach."""

import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import lru_cache
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
    if isinstance(value, Enum):
        value = value.value
    if depth >= DEEPEST:
        return "…"
    if isinstance(value, str | UUID):  # nearly everything
        return _scalar(value)
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
    pairs = list(values.items())
    found = {
        text(str(name), 100): _masked(str(name), value, depth) for name, value in pairs[:MOST_ITEMS]
    }
    if len(pairs) > MOST_ITEMS:
        found["…"] = len(pairs) - MOST_ITEMS
    return found


def text(value: str, longest: int) -> str:
    """Cut, and without what Postgres refuses."""
    found = value[:longest]
    if found.isascii() and "\x00" not in found:  # most are
        return found
    return UNSTORABLE.sub("\ufffd", found)


def _masked(name: str, value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, UUID) and _names_secret(name):
        return MASKED
    return UNTOLD if name in PERSONAL else plain(value, depth=depth)


@lru_cache(maxsize=1024)
def _names_secret(name: str) -> bool:
    return bool(SECRET.search(name))


def _items(values: list[Any], depth: int) -> list[Any]:
    shown = [plain(value, depth=depth + 1) for value in values[:MOST_ITEMS]]
    return [*shown, f"… {len(values) - MOST_ITEMS} more"] if len(values) > MOST_ITEMS else shown
