"""How one-time secrets are made and stored.

Six digits can be guessed from a plain hash in a moment, so it is an HMAC under a key of ours; the
purpose is part of what is hashed, so a secret fits no other door.
"""

import hashlib
import hmac
import secrets

from undercroft.foundation.crypto import Keyring
from undercroft.identity.auth.codes.models import OneTimeSecret, Purpose

DIGITS = 6
KEY = "one-time-secret"


def new_code() -> str:
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def hash_code(keyring: Keyring, row: OneTimeSecret, code: str) -> bytes:
    """Bound to the one request, hence to its purpose, identifier and channel."""
    return _hash(keyring, "code", row.purpose, row.id.hex, code)


def hash_link(keyring: Keyring, purpose: Purpose, token: str) -> bytes:
    return _hash(keyring, "link", purpose.value, token)


def _hash(keyring: Keyring, *parts: str) -> bytes:
    key = bytes.fromhex(keyring.derive(KEY))
    return hmac.new(key, "\n".join(parts).encode(), hashlib.sha256).digest()
