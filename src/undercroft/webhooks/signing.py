"""Secrets and signatures by the Standard Webhooks specification (symmetric, `v1`)."""

import base64
import secrets
from collections.abc import Sequence
from datetime import datetime

from standardwebhooks.webhooks import Webhook as Signer

from undercroft.foundation.crypto import Keyring
from undercroft.webhooks.models import Webhook

PREFIX = "whsec_"
SEAL = "webhook-secret"
SECRET_BYTES = 32


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """The secret as people copy it and as libraries that verify take it."""
    return PREFIX + base64.b64encode(secret).decode()


def keys_of(webhook: Webhook, keyring: Keyring, *, now: datetime) -> list[bytes]:
    """The secrets that sign at this moment, the newest first."""
    sealed = [webhook.sealed_secret]
    if webhook.sealed_previous and webhook.previous_until and webhook.previous_until > now:
        sealed.append(webhook.sealed_previous)
    return [keyring.open(SEAL, each) for each in sealed]


def signed_headers(
    keys: Sequence[bytes], message_id: str, sent_at: datetime, body: bytes
) -> dict[str, str]:
    """One signature per key: while a secret is being rotated receivers may know either."""
    signatures = [Signer(key).sign(message_id, sent_at, body.decode()) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
