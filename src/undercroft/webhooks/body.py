"""The body of a call."""

import json
from datetime import UTC
from typing import Any

import orjson

from undercroft.webhooks.models import Event


def payload_of(event: Event) -> dict[str, Any]:
    """`{id, type, created_at, data}`; the same for every try and every webhook."""
    return {**_head(event), "data": _speakable(event.data)}


def body_of(event: Event, data: str) -> bytes:
    """`payload_of` as bytes. `data` is the event's as Postgres writes it: numbers keep digits."""
    return orjson.dumps(_head(event))[:-1] + b',"data":' + data.encode() + b"}"


def _speakable(data: Any) -> Any:
    """What a `json` column may hold and UTF-8 may not becomes a question mark."""
    return json.loads(json.dumps(data, ensure_ascii=False).encode(errors="replace"))


def _head(event: Event) -> dict[str, Any]:
    return {
        "id": str(event.id),
        "type": event.type,
        "created_at": event.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
