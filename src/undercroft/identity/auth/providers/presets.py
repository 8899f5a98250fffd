"""Providers that people know, and what is peculiar about each."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import jwt

from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import ProviderSettings

OPENID = ("openid", "email", "profile")
GITHUB = "github"
APPLE = "apple"
MICROSOFT = "microsoft"
ISSUERS = {
    "google": "https://accounts.google.com",
    APPLE: "https://appleid.apple.com",
}
TITLES = {"google": "Google", GITHUB: "GitHub", MICROSOFT: "Microsoft", APPLE: "Apple"}
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
APPLE_SECRET_LIFETIME = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Provider:
    """`issuer` is None for GitHub, which speaks OAuth 2.0 without OpenID Connect."""

    name: str
    title: str
    issuer: str | None
    scopes: tuple[str, ...]
    settings: ProviderSettings
    # Apple posts its answer from its own page when it is asked for an address.
    posts_back: bool = False
    # Anybody can claim any address at a tenant of their own: Microsoft's proves nothing.
    proves_addresses: bool = True

    def secret(self, now: datetime) -> str | None:
        """The client secret; Apple's is a token signed with the key it gave us."""
        secret = self.settings.client_secret
        if secret is None or self.settings.team_id is None:
            return secret.get_secret_value() if secret else None
        claims = {
            "iss": self.settings.team_id,
            "sub": self.settings.client_id,
            "aud": self.issuer,
            "iat": now,
            "exp": now + APPLE_SECRET_LIFETIME,
        }
        key = secret.get_secret_value()
        return jwt.encode(claims, key, "ES256", headers={"kid": self.settings.key_id or ""})


def make_provider(name: str, settings: ProviderSettings) -> Provider:
    """Raises `SettingsInvalid` for one that is neither known nor has a safe issuer."""
    issuer = settings.issuer or ISSUERS.get(name)
    if name == MICROSOFT and issuer is None:
        issuer = f"https://login.microsoftonline.com/{settings.tenant}/v2.0"
    if issuer is None and name != GITHUB:
        raise SettingsInvalid(f"UNDERCROFT_AUTH__PROVIDERS: '{name}' needs an issuer.")
    if issuer and not _is_safe(issuer):
        raise SettingsInvalid(f"UNDERCROFT_AUTH__PROVIDERS: the issuer of '{name}' needs https.")
    scopes = ("read:user", "user:email") if issuer is None else OPENID
    if name == APPLE:
        scopes = ("openid", "email", "name")
    return Provider(
        name=name,
        title=settings.title or TITLES.get(name, name),
        issuer=issuer,
        scopes=settings.scopes or scopes,
        settings=settings,
        posts_back=name == APPLE,
        proves_addresses=name != MICROSOFT,
    )


def _is_safe(issuer: str) -> bool:
    parts = urlsplit(issuer)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
