"""Tokens, sessions and passwords."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr

from undercroft.foundation.settings.group import SettingsGroup


class PasswordSettings(SettingsGroup):
    min_length: int = Field(12, ge=8, description="Shortest with all four character classes.")
    min_length_any: int = Field(15, ge=8, description="Shortest of any composition.")
    max_length: int = Field(1024, le=4096, description="Longest, so that hashing stays bounded.")
    memory_kib: int = Field(19_456, ge=8_192, description="Argon2id memory (OWASP: 19 MiB).")
    iterations: int = Field(2, ge=1, description="Argon2id passes.")
    parallelism: int = Field(1, ge=1, description="Argon2id lanes.")
    hash_threads: int | None = Field(
        None,
        ge=1,
        description="Passwords hashed at once by `undercroft serve`, half as many as cores when "
        "unset; under another server by each process, one when unset. The rest wait their turn.",
    )
    hash_queue: int = Field(
        128, ge=1, description="Callers that may wait for a hash before others get 503."
    )


class ProviderSettings(SettingsGroup):
    """One outside party that people may sign in with."""

    client_id: str = Field(description="What the provider calls this application.")
    client_secret: SecretStr | None = Field(None, description="Unset for a public client.")
    issuer: str | None = Field(
        None, description="OpenID Connect issuer; the presets google, microsoft, apple know theirs."
    )
    title: str | None = Field(None, description="What people read on the button.")
    scopes: tuple[str, ...] = Field((), description="Unset: what signing in needs.")
    tenant: str = Field("common", description="Microsoft's tenant.")
    team_id: str | None = Field(None, description="Apple's team id.")
    key_id: str | None = Field(None, description="Apple's key id; its key is `client_secret`.")


class AuthSettings(SettingsGroup):
    issuer: str = Field("undercroft", description="`iss` of every token.")
    algorithm: Literal["ES256", "EdDSA", "RS256", "HS256"] = Field(
        "ES256", description="Algorithm of new signing keys; old keys keep verifying."
    )
    access_token_lifetime: timedelta = Field(timedelta(minutes=60))
    session_token_lifetime: timedelta = Field(timedelta(days=7))
    refresh_token_lifetime: timedelta = Field(timedelta(days=30))
    refresh_replay_window: timedelta = Field(
        timedelta(seconds=30),
        description="A refresh token presented again within this span gets the same successor.",
    )
    clock_leeway: timedelta = Field(timedelta(seconds=5), description="Accepted clock difference.")
    lockout_failures: int = Field(
        5, ge=1, description="Failed sign-ins per identifier and address before a pause."
    )
    lockout_pause: timedelta = Field(
        timedelta(minutes=5), description="First pause; doubles with every further one."
    )
    code_lifetime: timedelta = Field(timedelta(minutes=10), description="Of one-time codes.")
    code_tries: int = Field(5, ge=1, le=10, description="Tries per one-time code.")
    codes_per_hour: int = Field(
        6, ge=1, description="One-time codes and links per identifier and purpose."
    )
    reset_link_lifetime: timedelta = Field(timedelta(hours=1), description="Of mailed links.")
    reveal_availability: bool = Field(
        True,
        description="False: the availability check calls every e-mail address and phone free.",
    )
    step_up_window: timedelta = Field(
        timedelta(minutes=10),
        description="How long after proving who you are dangerous acts are allowed.",
    )
    passkey_domain: str | None = Field(
        None, description="Domain passkeys belong to. Unset: that of the frontend's address."
    )
    passkey_origins: tuple[str, ...] = Field(
        (), description="Origins passkeys are used from. Unset: that of the frontend's address."
    )
    providers: dict[str, ProviderSettings] = Field(
        {},
        description="Sign in with others, by name: google, github, microsoft, apple, or any with "
        "an issuer.",
    )
    redirect_urls: tuple[str, ...] = Field(
        (),
        description="Where a browser may be sent after signing in with others, beside the "
        "frontend's address: exact URLs.",
    )
    first_superuser_email: str | None = Field(None, description="Made at the first start.")
    first_superuser_password: SecretStr | None = Field(None)
    open_registration: bool = Field(True, description="False: only administrators make accounts.")
    tell_new_devices: bool = Field(
        True, description="Mail people when a kind of device signs in that was not used before."
    )
    erasure_grace: timedelta = Field(
        timedelta(days=30), description="From a deleted account to its erasure."
    )
    bind_origin: bool = Field(
        False, description="Tokens work only from the Origin they were issued to."
    )
    password: PasswordSettings = PasswordSettings()
