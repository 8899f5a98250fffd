"""Secrets at rest and in comparison, over `cryptography`; nothing here is our own cipher."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = ["Keyring", "SealedElsewhere", "new_secret", "same_secret", "sha256"]


class SealedElsewhere(Exception):  # noqa: N818 - reads as the sentence it starts
    """What is stored does not open with our SECRET_KEY."""

    def __init__(self) -> None:
        super().__init__(
            "What this database keeps was sealed with another SECRET_KEY. Set the one it was made "
            "with: it is in `secrets.json` of an embedded home, else with your backups."
        )


def new_secret(length: int = 32) -> str:
    """URL-safe text from `length` random bytes."""
    return secrets.token_urlsafe(length)


def sha256(text: str) -> bytes:
    """Digest of a high-entropy secret, for storage. Passwords go through Argon2id instead."""
    return hashlib.sha256(text.encode()).digest()


def same_secret(left: str | bytes, right: str | bytes) -> bool:
    """Compare in constant time."""
    as_bytes = (part.encode() if isinstance(part, str) else part for part in (left, right))
    return hmac.compare_digest(*as_bytes)


class Keyring:
    """Keys derived from SECRET_KEY by HKDF (RFC 5869), one per purpose."""

    def __init__(self, secret_key: str) -> None:
        self._secret = secret_key.encode()
        self._fernets: dict[str, Fernet] = {}
        self._derived: dict[str, bytes] = {}

    def derive(self, purpose: str) -> str:
        """A stable secret for `purpose`, 64 hexadecimal digits."""
        return self._derive(purpose).hex()

    def seal(self, purpose: str, content: bytes) -> bytes:
        """Encrypt and authenticate; only the same purpose opens it."""
        return self._fernet(purpose).encrypt(content)

    def open(self, purpose: str, sealed: bytes) -> bytes:
        """Undo `seal`. Raises `SealedElsewhere` when SECRET_KEY or the content changed."""
        try:
            return self._fernet(purpose).decrypt(sealed)
        except InvalidToken as error:
            raise SealedElsewhere from error

    def _derive(self, purpose: str) -> bytes:
        if purpose not in self._derived:
            info = f"undercroft:{purpose}".encode()
            kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=info)
            self._derived[purpose] = kdf.derive(self._secret)
        return self._derived[purpose]

    def _fernet(self, purpose: str) -> Fernet:
        if purpose not in self._fernets:
            self._fernets[purpose] = Fernet(urlsafe_b64encode(self._derive(purpose)))
        return self._fernets[purpose]
