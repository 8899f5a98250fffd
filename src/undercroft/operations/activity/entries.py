"""From anything that happened to a row of the log, written in the caller's transaction."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from undercroft.foundation.access import Actor, Role
from undercroft.foundation.context import RequestContext, current_request, current_work
from undercroft.foundation.ids import new_id
from undercroft.foundation.jobs import Part
from undercroft.identity.auth.devices import read_device
from undercroft.operations.activity.models import ActorType, Entry, Level
from undercroft.operations.activity.values import plain
from undercroft.operations.activity.values import text as cut

# `created_at` and `id` come first: the statement names them twice.
COLUMNS = tuple(column.name for column in Entry.__table__.columns)
IN_ORDER = itemgetter(*COLUMNS)
JSON_COLUMNS = frozenset({"before", "after", "metadata", "error_details"})
LENGTHS: Mapping[str, int] = {
    column.name: length
    for column in Entry.__table__.columns
    if (length := getattr(column.type, "length", None))
}


def _value(number: int, column: str) -> str:
    return f"${number}::jsonb" if column in JSON_COLUMNS else f"${number}"


# In the driver's own words: every write of the platform waits for it, and building it anew would
# double its price.
ENTRY = f"""
    INSERT INTO operations.activity ({", ".join(COLUMNS)})
    VALUES ({", ".join(_value(*pair) for pair in enumerate(COLUMNS, start=1))})
"""  # noqa: S608 - names of our own columns
# Its place in the queue of the sealer.
UNSEALED = """
    INSERT INTO operations.activity_unsealed (created_at, entry_id)
    VALUES ($1::timestamptz, $2::uuid)
"""
INSERT = f"WITH entry AS ({ENTRY}) {UNSEALED}"


@dataclass(frozen=True, slots=True)
class Happening:
    """What is to be told; who did it and from where is found in the request being served.

    `concerns` is the account in whose own log it belongs when nobody is signed in, `details` are
    columns that take the place of what the request says. `session` is the one that just began,
    which the request could not name yet.
    """

    action: str
    module: str
    message: str
    level: Level = Level.AUDIT
    by: UUID | None = None
    concerns: UUID | None = None
    session: UUID | None = None
    target: tuple[str, str] | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


async def record(
    session: AsyncSession, happening: Happening, *, request: RequestContext | None = None
) -> UUID:
    """Write an entry in this transaction and return its id."""
    row = row_of(happening, request or current_request())
    await session.run_sync(_insert, IN_ORDER(row))
    entry_id: UUID = row["id"]
    return entry_id


def part_of(happening: Happening, *, committed: Callable[[], None] | None = None) -> Part:
    """The same as `record`, to be written together with something else.

    If that fails there is no entry, so the request is told as one that is done.
    """
    request = current_request()
    row = row_of(happening, request)
    row["status_code"] = row["status_code"] or (request and request.success) or None
    return Part((ENTRY, UNSEALED), IN_ORDER(row), committed=committed)


def _insert(session: Session, values: tuple[Any, ...]) -> None:
    session.connection().exec_driver_sql(INSERT, values)


def row_of(happening: Happening, request: RequestContext | None) -> dict[str, Any]:
    entry_id = new_id()
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= _circumstances(request)
    row |= _who(request.actor if request else None, happening.by)
    row |= {
        "id": entry_id,
        "created_at": time_of(entry_id),
        "level": happening.level.value,
        "action": happening.action,
        "module": happening.module,
        "message": happening.message,
        "before": happening.before or None,
        "after": happening.after or None,
        "metadata": _metadata(happening, request),
    }
    row["session_id"] = row["session_id"] or happening.session
    if row["actor_type"] == ActorType.ANONYMOUS:
        row["user_id"] = happening.concerns
    if happening.target:
        row["target_type"], row["target_id"] = happening.target
    row |= happening.details
    for name, longest in LENGTHS.items():
        if (value := row[name]) is not None:
            row[name] = cut(value, longest)
    for name in JSON_COLUMNS:
        if (value := row[name]) is not None:
            row[name] = _json(value)
    return row


def time_of(entry_id: UUID) -> datetime:
    """The moment inside a UUIDv7, to the millisecond."""
    return datetime.fromtimestamp((entry_id.int >> 80) / 1000, UTC)


def _who(actor: Actor | None, by: UUID | None) -> dict[str, Any]:
    if actor is None or (by and actor.user_id != by):
        kind = ActorType.USER if by else ActorType.SYSTEM
        session_id = actor.half.session_id if actor and actor.half else None
        return {"actor_type": kind.value, "user_id": by, "session_id": session_id}
    if actor.user_id:
        kind = ActorType.USER
    elif actor.api_key_id:
        kind = ActorType.API_KEY
    else:
        kind = ActorType.SERVICE if actor.role is Role.SERVICE else ActorType.ANONYMOUS
    return {
        "actor_type": kind.value,
        "user_id": actor.user_id,
        "api_key_id": actor.api_key_id,
        "session_id": actor.session_id,
    }


def _circumstances(request: RequestContext | None) -> dict[str, Any]:
    if request is None:
        return {}
    device = read_device(request.header(b"user-agent"), request.address, None)
    return {
        "address": request.address,
        "user_agent": device.user_agent,
        "device": device.name,
        "browser": device.browser,
        "os": device.os,
        "platform": "web",
        "endpoint": request.route or request.path,
        "method": request.method,
        "status_code": request.status or None,
        "request_id": request.request_id,
        "duration_ms": request.milliseconds,
    }


def _metadata(happening: Happening, request: RequestContext | None) -> dict[str, Any] | None:
    found = dict(happening.metadata)
    if request is None and (work := current_work()):
        found["work"] = work
    return found or None


def _json(value: Any) -> str:
    return orjson.dumps(plain(value), default=str).decode()


# --- from an event -------------------------------------------------------------------------------

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")
WHO = frozenset({"by", "before", "after", "change"})


def happening_of(event: Any, change: tuple[dict[str, Any], dict[str, Any]] | None) -> Happening:
    """Any event, told by its name and fields: `ApiKeyRevoked` is `api_key.revoked`.

    An event may say otherwise by class attributes: `ACTION`, `LEVEL`, and `ACTED_BY`, the name of
    the field with who did it.
    """
    values = _fields(event)
    action = getattr(event, "ACTION", None) or _action(type(event).__name__, values)
    by, concerns = _by(event, values), values.get("user_id")
    before, after = change or (None, None)
    return Happening(
        action=action,
        module=module_of(type(event).__module__),
        message=sentence(action),
        level=Level(getattr(event, "LEVEL", Level.AUDIT)),
        by=by,
        concerns=concerns if isinstance(concerns, UUID) else None,
        session=values.get("session_id") if by and by == concerns else None,
        target=_target(values),
        before=values.get("before") or before,
        after=values.get("after") or after,
        metadata={name: value for name, value in values.items() if name not in WHO},
    )


def target_of(event: Any) -> tuple[str, str] | None:
    """(kind, id) of what an event is about."""
    return _target(_fields(event))


@lru_cache
def module_of(dotted: str) -> str:
    """`undercroft.identity.users.events` is users; of a package outside, its name."""
    parts = dotted.split(".")
    if parts[0] != "undercroft":
        return parts[0]
    return parts[2] if len(parts) > 3 else parts[1] if len(parts) > 1 else parts[0]


@lru_cache
def sentence(action: str) -> str:
    noun, _, verb = action.partition(".")
    return f"{noun} {verb}".replace("_", " ").strip().capitalize()


def _fields(event: Any) -> dict[str, Any]:
    kind: Any = type(event)
    return {name: getattr(event, name) for name in _names_of(kind)}


@lru_cache
def _names_of(kind: type) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(kind))


def _by(event: Any, values: Mapping[str, Any]) -> UUID | None:
    by = values.get(getattr(event, "ACTED_BY", "by"))
    return by if isinstance(by, UUID) else None


def _action(name: str, values: Mapping[str, Any]) -> str:
    *noun, verb = _words(name)
    change = values.get("change")
    if isinstance(change, str) and verb == "changed":
        verb = change
    return f"{'_'.join(noun)}.{verb}" if noun else verb


@lru_cache
def _words(name: str) -> tuple[str, ...]:
    return tuple(word.lower() for word in WORD.findall(name))


def _target(values: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first field that names something by an id; else the first text."""
    for name, value in values.items():
        if name.endswith("_id") and isinstance(value, UUID | str | int):
            return name.removesuffix("_id"), str(value)
    for name, value in values.items():
        if isinstance(value, str) and name not in WHO:
            return name, value
    return None
