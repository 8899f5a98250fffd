"""Signed URLs: tokens of their own kind, with a key of their own, that no login accepts.

A token is bound to what may be done (`use`), to one file, to a time and to the version that its
bucket and its row had: counting one of them up ends every link there is.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import jwt

from undercroft.foundation.clock import utc_now
from undercroft.foundation.crypto import Keyring
from undercroft.foundation.settings import StorageSettings
from undercroft.storage.wire import Refusal

DOWNLOAD, UPLOAD = "download", "upload"
ALGORITHM = "HS256"
AUDIENCE = "undercroft-files"
REQUIRED = ["exp", "aud", "use", "bucket", "name"]


@dataclass(frozen=True, slots=True)
class Link:
    """What a token allows. `transform` are the query parameters of an image."""

    use: str
    bucket: str
    name: str
    object_id: str | None = None
    version: str | None = None
    transform: dict[str, str] | None = None
    upsert: bool = False
    owner: UUID | None = None
    seconds_left: int = 0


class Links:
    def __init__(self, keyring: Keyring, settings: StorageSettings) -> None:
        self._key = keyring.derive("storage-links")
        self._longest = settings.longest_signed_url

    def sign(self, link: Link, lifetime: timedelta) -> str:
        """A token for this link. Raises a `Refusal` for a lifetime that cannot be."""
        if not timedelta() < lifetime <= self._longest:
            raise Refusal(400, "InvalidParameter", "expiresIn is not a possible lifetime")
        now = int(utc_now().timestamp())
        claims: dict[str, Any] = {
            "aud": AUDIENCE,
            "use": link.use,
            "bucket": link.bucket,
            "name": link.name,
            "iat": now,
            "exp": now + int(lifetime.total_seconds()),
        }
        optional = {
            "object": link.object_id,
            "version": link.version,
            "transform": link.transform,
            "upsert": link.upsert or None,
            "owner": str(link.owner) if link.owner else None,
        }
        claims |= {key: value for key, value in optional.items() if value is not None}
        return jwt.encode(claims, self._key, ALGORITHM)

    def read(self, token: str | None, use: str, bucket: str, name: str) -> Link:
        """What the token allows, if it is for this use of this file. Raises a `Refusal`."""
        if not token:
            raise Refusal(400, "MissingParameter", "Missing Required Parameter token")
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                options={"require": REQUIRED},
            )
        except jwt.ExpiredSignatureError as error:
            raise Refusal(400, "ExpiredToken", "The provided token has expired.") from error
        except (jwt.PyJWTError, ValueError) as error:
            raise Refusal(400, "InvalidSignature", "Invalid signature") from error
        # Some clients escape what they were given already escaped.
        if claims["use"] != use or claims["bucket"] != bucket:
            raise Refusal(400, "InvalidSignature", "Invalid signature")
        if claims["name"] not in {name, unquote(name)}:
            raise Refusal(400, "InvalidSignature", "Invalid signature")
        return Link(
            use,
            bucket,
            claims["name"],
            claims.get("object"),
            claims.get("version"),
            claims.get("transform"),
            claims.get("upsert", False),
            UUID(claims["owner"]) if "owner" in claims else None,
            int(claims["exp"] - utc_now().timestamp()),
        )


def path_in_url(name: str) -> str:
    """A name as clients join it to their base: they escape, but not what ends a path."""
    return name.replace("%", "%25").replace("?", "%3F").replace("#", "%23")
