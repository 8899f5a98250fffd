"""The body of a call."""

from datetime import UTC
from typing import Any

import orjson

from undercroft.webhooks.models import Event


def payload_of(event: Event) -> dict[str, Any]:
    """`{id, type, created_at, data}`; the same for every try and every webhook."""
    return {
        "id": str(event.id),
        "type": event.type,
        "created_at": event.created_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": event.data,
    }


def body_of(event: Event) -> bytes:
    return orjson.dumps(payload_of(event))
