"""The body of a call."""

from datetime import UTC
from typing import Any

import orjson

from undercroft.webhooks.models import Event


def payload_of(event: Event) -> dict[str, Any]:
    """`{id, type, created_at, data}`; the same for every try and every webhook."""
    return {**_head(event), "data": event.data}


def body_of(event: Event, data: str) -> bytes:
    """`payload_of` as bytes. `data` is the event's as Postgres writes it: numbers keep digits."""
    return orjson.dumps(_head(event))[:-1] + b',"data":' + data.encode() + b"}"


def _head(event: Event) -> dict[str, Any]:
    return {
        "id": str(event.id),
        "type": event.type,
        "created_at": event.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
