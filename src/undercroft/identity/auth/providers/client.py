"""The conversation with a provider: Authlib speaks OAuth 2.0, PyJWT checks the ID token.

Authlib is imported by those who have a provider: it takes 4 MB.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import jwt

from undercroft.foundation.clock import utc_now
from undercroft.foundation.settings import AuthSettings
from undercroft.identity.auth.providers.errors import (
    ProviderAway,
    ProviderNotFound,
    ProviderRefused,
)
from undercroft.identity.auth.providers.presets import Provider, make_provider

TIMEOUT_SECONDS = 10.0
METADATA_SECONDS = 3600.0
# An unknown key id makes us look again, but not for every forged one.
KEYS_SECONDS = 30.0
# Never `none`, never a shared secret: the ID token is the provider's own signature.
ALGORITHMS = ["ES256", "ES384", "ES512", "EdDSA", "PS256", "PS384", "PS512", "RS256", "RS384"]
LONGEST_SUBJECT = 255
GITHUB_METADATA = {
    "authorization_endpoint": "https://github.com/login/oauth/authorize",
    "token_endpoint": "https://github.com/login/oauth/access_token",
}
GITHUB_API = "https://api.github.com"


@dataclass(frozen=True, slots=True)
class Profile:
    """Whom the provider says it is. `email` counts for nothing unless it is verified."""

    subject: str
    email: str | None
    email_verified: bool


@dataclass(frozen=True, slots=True)
class Trip:
    """What a sign-in must come back with."""

    state: str
    nonce: str
    verifier: str


@dataclass(slots=True)
class _Known:
    value: dict[str, Any]
    at: float


class Providers:
    """All configured providers; remembers what they publish about themselves."""

    def __init__(self, settings: AuthSettings, *, callback_base: str) -> None:
        self._callback_base = callback_base
        self._leeway = settings.clock_leeway
        self._providers = {
            name: make_provider(name, each) for name, each in settings.providers.items()
        }
        self._metadata: dict[str, _Known] = {}
        self._keys: dict[str, _Known] = {}

    def all(self) -> list[Provider]:
        return list(self._providers.values())

    def get(self, name: str) -> Provider:
        """Raise `ProviderNotFound`."""
        if name not in self._providers:
            raise ProviderNotFound
        return self._providers[name]

    async def begin(self, provider: Provider, trip: Trip) -> str:
        """Return the address at the provider to send the browser to."""
        metadata = await self._describe(provider)
        options: dict[str, Any] = {"code_verifier": trip.verifier}
        if provider.issuer:
            options["nonce"] = trip.nonce
        if provider.posts_back:
            options["response_mode"] = "form_post"
        async with self._client(provider, metadata) as client:
            url, _ = client.create_authorization_url(
                metadata["authorization_endpoint"], state=trip.state, **options
            )
        return str(url)

    async def finish(
        self, provider: Provider, code: str, issuer: str | None, trip: Trip
    ) -> Profile:
        """Exchange the code. Raises `ProviderRefused`, `ProviderAway`.

        `issuer` is what the answer says of its sender (RFC 9207), where it says so.
        """
        metadata = await self._describe(provider)
        if issuer is not None and issuer != metadata.get("issuer"):
            raise ProviderRefused
        async with self._client(provider, metadata) as client:
            token = await _asked(
                lambda: client.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=trip.verifier,
                )
            )
            if provider.issuer is None:
                return await _github_profile(client)
        return await self._profile(provider, metadata, token, trip)

    async def _profile(
        self, provider: Provider, metadata: dict[str, Any], token: Any, trip: Trip
    ) -> Profile:
        claims = await self._verify(provider, metadata, token.get("id_token"), trip.nonce)
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject.strip()) <= LONGEST_SUBJECT:
            raise ProviderRefused
        email = claims.get("email")
        # Apple sends the text "true".
        verified = claims.get("email_verified") in {True, "true"} and provider.proves_addresses
        return Profile(subject, email if isinstance(email, str) else None, verified)

    async def _verify(
        self, provider: Provider, metadata: dict[str, Any], token: object, nonce: str
    ) -> dict[str, Any]:
        """Everything of OpenID Connect Core 3.1.3.7. Raises `ProviderRefused`."""
        if not isinstance(token, str):
            raise ProviderRefused
        try:
            key = await self._key_of(metadata, token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=ALGORITHMS,
                audience=provider.settings.client_id,
                leeway=self._leeway,
                options={"require": ["iss", "sub", "aud", "exp", "iat"]},
            )
        except jwt.PyJWTError as error:
            raise ProviderRefused from error
        # Microsoft's common issuer has the tenant's id in the token only.
        issuer = metadata["issuer"].replace("{tenantid}", str(claims.get("tid", "")))
        several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
        party = claims.get("azp", None if several else provider.settings.client_id)
        right = (issuer, provider.settings.client_id, nonce)
        if (claims["iss"], party, claims.get("nonce")) != right:
            raise ProviderRefused
        return claims

    async def _key_of(self, metadata: dict[str, Any], token: str) -> jwt.PyJWK:
        kid = jwt.get_unverified_header(token).get("kid")
        uri = metadata["jwks_uri"]
        known = self._keys.get(uri)
        if known is None or (
            kid not in _kids(known.value) and time.monotonic() - known.at > KEYS_SECONDS
        ):
            known = self._keys[uri] = _Known(await _fetch(uri), time.monotonic())
        keys = jwt.PyJWKSet.from_dict(known.value).keys
        for key in keys:
            if key.key_id == kid or (kid is None and len(keys) == 1):
                return key
        raise ProviderRefused

    async def _describe(self, provider: Provider) -> dict[str, Any]:
        """The provider's endpoints (OpenID Connect Discovery 1.0)."""
        if provider.issuer is None:
            return GITHUB_METADATA
        known = self._metadata.get(provider.name)
        if known is None or time.monotonic() - known.at > METADATA_SECONDS:
            url = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
            known = _Known(await _fetch(url), time.monotonic())
            if not _is_of(provider, known.value):
                raise ProviderAway
            self._metadata[provider.name] = known
        return known.value

    def _client(self, provider: Provider, metadata: dict[str, Any]) -> Any:
        from authlib.integrations.httpx_client import AsyncOAuth2Client  # noqa: PLC0415 - see above

        secret = provider.secret(utc_now())
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        by_header = "client_secret_basic" in methods and provider.issuer is not None
        method = "client_secret_basic" if by_header else "client_secret_post"
        return AsyncOAuth2Client(
            client_id=provider.settings.client_id,
            client_secret=secret,
            token_endpoint_auth_method=method if secret else "none",
            scope=" ".join(provider.scopes),
            redirect_uri=f"{self._callback_base}/{provider.name}",
            code_challenge_method="S256",
            timeout=TIMEOUT_SECONDS,
        )


def _is_of(provider: Provider, metadata: dict[str, Any]) -> bool:
    """Whether a discovery document is this issuer's own and says what we need."""
    needed = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
    whole = all(isinstance(metadata.get(name), str) for name in needed)
    return whole and (metadata["issuer"] == provider.issuer or "{tenantid}" in metadata["issuer"])


async def _github_profile(client: Any) -> Profile:
    """GitHub's account id, and its primary address if GitHub verified it."""
    user = await _asked(lambda: client.get(f"{GITHUB_API}/user"))
    emails = await _asked(lambda: client.get(f"{GITHUB_API}/user/emails"))
    if not (user.is_success and isinstance(user.json().get("id"), int)):
        raise ProviderRefused
    entries = emails.json() if emails.is_success else []
    primary = next((e for e in entries if e.get("primary") and e.get("verified")), None)
    return Profile(str(user.json()["id"]), primary and primary["email"], primary is not None)


async def _asked(ask: Callable[[], Awaitable[Any]]) -> Any:
    """The provider's answer; what it says of a failure stays out of ours."""
    from authlib.common.errors import AuthlibBaseError  # noqa: PLC0415 - see above

    try:
        return await ask()
    except AuthlibBaseError as error:
        raise ProviderRefused from error
    except (httpx2.HTTPError, ValueError) as error:
        raise ProviderAway from error


async def _fetch(url: str) -> dict[str, Any]:
    """A JSON document, without following redirects."""
    try:
        async with httpx2.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
            response = await client.get(url)
            document = response.raise_for_status().json()
    except (httpx2.HTTPError, ValueError) as error:
        raise ProviderAway from error
    if not isinstance(document, dict):
        raise ProviderAway
    return document


def _kids(document: dict[str, Any]) -> set[Any]:
    keys = document.get("keys")
    return {key.get("kid") for key in keys if isinstance(key, dict)} if keys else set()
