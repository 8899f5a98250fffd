"""The long-lived parts of identity in one process, and how routes reach them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from undercroft.foundation.crypto import Keyring
from undercroft.foundation.db import Database, Listener
from undercroft.foundation.jobs import Together
from undercroft.foundation.personal import PersonalData
from undercroft.foundation.settings import AuthSettings, Settings
from undercroft.foundation.settings.http import LOCAL
from undercroft.identity.auth.gate import Gate
from undercroft.identity.auth.hashing import HashQueue
from undercroft.identity.auth.keys import CHANNEL as KEYS_CHANNEL
from undercroft.identity.auth.keys import Keys
from undercroft.identity.auth.passwords import Passwords
from undercroft.identity.auth.providers.client import Providers
from undercroft.identity.auth.tokens import Tokens
from undercroft.identity.auth.turns import Turns
from undercroft.notifications import Post


@dataclass(frozen=True, slots=True)
class Identity:
    settings: AuthSettings
    link_base: str
    post: Post
    providers: Providers
    database: Database
    keyring: Keyring
    keys: Keys
    tokens: Tokens
    passwords: Passwords
    turns: Turns
    gate: Gate
    together: Together
    personal: tuple[PersonalData, ...]


def build_identity(
    all_settings: Settings,
    database: Database,
    keyring: Keyring,
    listener: Listener,
    personal: tuple[PersonalData, ...] = (),
    hashing: HashQueue | None = None,
) -> Identity:
    """`personal` is what every wing declares to keep about people."""
    settings, http = all_settings.auth, all_settings.http
    keys = Keys(database, keyring, lambda: listener.hearing)
    tokens = Tokens(keys, settings)
    gate = Gate(database, tokens, listener, settings)
    listener.on(KEYS_CHANNEL, lambda _payload: keys.forget())
    listener.when_deaf(keys.forget)
    return Identity(
        settings=settings,
        link_base=http.link_base,
        post=Post(keyring, all_settings.notifications),
        providers=Providers(settings, callback_base=callback_base(all_settings)),
        database=database,
        keyring=keyring,
        keys=keys,
        tokens=tokens,
        passwords=Passwords(settings.password, hashing),
        turns=Turns(),
        gate=gate,
        together=Together(database),
        personal=personal,
    )


def callback_base(settings: Settings) -> str:
    """Where providers send browsers back to, on the control plane."""
    base = (settings.http.base_url or LOCAL).rstrip("/")
    return f"{base}{settings.prefix}/auth/callback"


async def get_identity(request: Request) -> Identity:
    identity: Identity = request.app.state.identity
    return identity


IdentityParts = Annotated[Identity, Depends(get_identity)]
