"""The body of a call."""

import json
from datetime import UTC
from typing import Any

import orjson

from undercroft.foundation.db.json_texts import read_json
from undercroft.webhooks.models import Event


def payload_of(event: Event, data: str) -> dict[str, Any]:
    """`{id, type, created_at, data}`, to be shown; the same for every try and every webhook."""
    return {**_head(event), "data": _speakable(read_json(data))}


def body_of(event: Event, data: str) -> bytes:
    """The same as bytes, to be sent: `data` as Postgres writes it, so numbers keep their digits."""
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
