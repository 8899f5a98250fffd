"""Headers that a receiver wants on every call, such as a key for its gateway. Values are sealed."""

import re
from collections.abc import Mapping
from typing import Annotated

import orjson
from pydantic import AfterValidator, Field, StringConstraints

from undercroft.foundation.crypto import Keyring
from undercroft.webhooks.models import Webhook

SEAL = "webhook-headers"
MOST = 20
# Ours, and those that say how a message is framed and passed on.
RESERVED = re.compile(
    r"webhook-.*|content-.*|host|user-agent|connection|keep-alive|te|trailer|transfer-encoding"
    r"|upgrade|expect|proxy-.*|accept-encoding",
    re.IGNORECASE,
)


def _unreserved(headers: dict[str, str]) -> dict[str, str]:
    named = {name.lower(): value for name, value in headers.items()}
    if len(named) < len(headers):
        raise ValueError("A header is named twice.")
    if taken := next((name for name in named if RESERVED.fullmatch(name)), None):
        raise ValueError(f"The header {taken} is not yours to set.")
    return named


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Value = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]*[!-~])?$", max_length=1024)]
Headers = Annotated[
    dict[Name, Value],
    Field(
        max_length=MOST,
        description="Sent with every call. Their values are never shown again.",
        examples=[{"Authorization": "Bearer of-your-gateway"}],
    ),
    AfterValidator(_unreserved),
]


def keep(webhook: Webhook, keyring: Keyring, headers: Mapping[str, str]) -> None:
    webhook.header_names = sorted(headers)
    webhook.sealed_headers = keyring.seal(SEAL, orjson.dumps(headers)) if headers else None


def headers_of(webhook: Webhook, keyring: Keyring) -> dict[str, str]:
    if webhook.sealed_headers is None:
        return {}
    return dict(orjson.loads(keyring.open(SEAL, webhook.sealed_headers)))
