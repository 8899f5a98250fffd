"""The Prefer header (RFC 7240) and the Preference-Applied header that answers it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_CHOICES = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "missing": ("default", "null"),
    "handling": ("strict", "lenient"),
}
# What is not the name of a time zone may be a distance from UTC; Postgres judges the rest.
_OFFSET = re.compile(r"[+-]?\d{1,2}(:\d{2}){0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the client preferred, None where it did not say. `invalid` keeps what we do not know."""

    resolution: str | None = None
    representation: str | None = None
    count: str | None = None
    tx: str | None = None
    missing: str | None = None
    handling: str | None = None
    timezone: str | None = None
    max_affected: int | None = None
    invalid: tuple[str, ...] = ()

    @property
    def strict(self) -> bool:
        return self.handling == "strict"

    @property
    def counts(self) -> bool:
        return self.count in ("exact", "estimated")


NO_PREFERENCES = Preferences()


@lru_cache(maxsize=2048)
def parse_preferences(
    value: str, *, tx_override: bool, timezones: frozenset[str] = frozenset()
) -> Preferences:
    """Read all Prefer headers, joined by commas. Of a preference given twice the first counts."""
    chosen: dict[str, str] = {}
    invalid = []
    for item in value.split(","):
        token = item.strip()
        name, _, choice = token.partition("=")
        if choice in _CHOICES.get(name, ()) or (
            name == "timezone" and (choice in timezones or _OFFSET.fullmatch(choice))
        ):
            chosen.setdefault(name, choice)
        elif name == "max-affected" and choice:
            if choice.isascii() and choice.isdigit():
                chosen.setdefault(name, choice)
        else:
            invalid.append(token)
    return Preferences(
        resolution=chosen.get("resolution"),
        representation=chosen.get("return"),
        count=chosen.get("count"),
        tx=chosen.get("tx") if tx_override else None,
        missing=chosen.get("missing"),
        handling=chosen.get("handling"),
        timezone=chosen.get("timezone"),
        max_affected=int(chosen["max-affected"]) if "max-affected" in chosen else None,
        invalid=tuple(invalid),
    )


@lru_cache(maxsize=2048)
def applied_header(preferences: Preferences, considered: Iterable[str]) -> bytes | None:
    """Name the preferences of `considered` (a tuple) that were honoured, or None."""
    honoured = {
        "resolution": preferences.resolution,
        "missing": preferences.missing,
        "return": preferences.representation,
        "count": preferences.count,
        "tx": preferences.tx,
        "handling": preferences.handling,
        "timezone": preferences.timezone,
        "max-affected": preferences.max_affected if preferences.strict else None,
    }
    pairs = [
        f"{name}={value}"
        for name, value in honoured.items()
        if value is not None and name in considered
    ]
    return ", ".join(pairs).encode() if pairs else None
