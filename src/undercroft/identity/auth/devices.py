"""What a person recognises their device by, read from the User-Agent by ua-parser."""

from dataclasses import dataclass
from functools import lru_cache

from ua_parser import parse

LONGEST = 500


@dataclass(frozen=True, slots=True)
class Device:
    user_agent: str | None = None
    address: str | None = None
    origin: str | None = None
    name: str | None = None
    type: str | None = None
    browser: str | None = None
    os: str | None = None
    # What the application calls this installation of itself, and where a proxy says it is.
    id: str | None = None
    place: str | None = None


def read_device(
    user_agent: str | None,
    address: str | None,
    origin: str | None,
    *,
    device_id: str | None = None,
    place: str | None = None,
) -> Device:
    """What callers send is cut to what its columns hold."""
    origin = _fitting(origin, 255)
    named = {"id": _fitting(device_id, 255), "place": _fitting(place, 100)}
    if not user_agent:
        return Device(address=address, origin=origin, **named)
    name, kind, browser, system = _parse(user_agent[:LONGEST])
    return Device(user_agent[:LONGEST], address, origin, name, kind, browser, system, **named)


def _fitting(value: str | None, longest: int) -> str | None:
    return (value or "").strip()[:longest] or None


@lru_cache(maxsize=1024)
def _parse(user_agent: str) -> tuple[str, str, str | None, str | None]:
    found = parse(user_agent)
    browser = found.user_agent.family if found.user_agent else None
    system = found.os.family if found.os else None
    model = found.device.model or found.device.family if found.device else None
    name = model or " on ".join(part for part in (browser, system) if part) or "Unknown device"
    kind = _kind(user_agent, system, model)
    return name[:100], kind, _fitting(browser, 64), _fitting(system, 64)


def _kind(user_agent: str, system: str | None, model: str | None) -> str:
    if "iPad" in user_agent or "Tablet" in user_agent:
        return "tablet"
    if system in {"iOS", "Android"}:
        return "mobile"
    if model == "Spider":
        return "bot"
    return "desktop" if system else "other"
