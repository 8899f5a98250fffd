"""The long-lived parts of identity in one process, and how routes reach them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from undercroft.foundation.crypto import Keyring
from undercroft.foundation.db import Database, Listener
from undercroft.foundation.settings import AuthSettings
from undercroft.identity.auth.gate import Gate
from undercroft.identity.auth.keys import CHANNEL as KEYS_CHANNEL
from undercroft.identity.auth.keys import Keys
from undercroft.identity.auth.passwords import Passwords
from undercroft.identity.auth.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Identity:
    settings: AuthSettings
    database: Database
    keyring: Keyring
    keys: Keys
    tokens: Tokens
    passwords: Passwords
    gate: Gate


def build_identity(
    settings: AuthSettings, database: Database, keyring: Keyring, listener: Listener
) -> Identity:
    keys = Keys(database, keyring)
    tokens = Tokens(keys, settings)
    gate = Gate(database, tokens, listener, settings)
    listener.on(KEYS_CHANNEL, lambda _payload: keys.forget())
    listener.when_deaf(keys.forget)
    return Identity(settings, database, keyring, keys, tokens, Passwords(settings.password), gate)


def get_identity(request: Request) -> Identity:
    identity: Identity = request.app.state.identity
    return identity


IdentityParts = Annotated[Identity, Depends(get_identity)]
