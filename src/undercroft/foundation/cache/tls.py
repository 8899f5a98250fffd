"""Connections to Valkey by TLS: whom we trust, what we show, and what went wrong in words."""

import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import CacheSettings

SCHEMES = frozenset({"rediss", "valkeys"})
CHECKS = ("none", "optional", "required")


def is_by_tls(url: str) -> bool:
    return urlsplit(url).scheme.partition("+")[0] in SCHEMES


def tls_options(settings: CacheSettings, url: str) -> dict[str, Any]:
    """What the client's connections take, nothing without TLS.

    The name in the certificate is compared, which the client by itself does not: without that a
    certificate for any host would do. `?ssl_cert_reqs=none` in the URL switches both off. Raises
    `SettingsInvalid` for a file that cannot be used.
    """
    if not is_by_tls(url):
        return {}
    check = parse_qs(urlsplit(url).query).get("ssl_cert_reqs", ["required"])[0]
    if check not in CHECKS:
        raise SettingsInvalid(f"REDIS_URL: ssl_cert_reqs must be one of {', '.join(CHECKS)}.")
    _try_files(settings)
    return {
        "ssl_ca_certs": _text(settings.ca_file),
        "ssl_certfile": _text(settings.cert_file),
        "ssl_keyfile": _text(settings.key_file or settings.cert_file),
        "ssl_cert_reqs": check,
        "ssl_check_hostname": check != "none",
    }


def advice_for(url: str, error: BaseException) -> str | None:
    """What to do about a connection that TLS kept from coming about, None for other reasons."""
    words = str(error)
    if not is_by_tls(url):
        closed = "closed by server" in words
        return "Perhaps the server wants TLS: rediss:// instead of redis://." if closed else None
    if "mismatch" in words:
        return "REDIS_URL must name the server as its certificate does."
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return "Name who signed its certificate in UNDERCROFT_CACHE__CA_FILE."
    if "ALERT" in words or "closed" in words or "reset" in words:
        return "Perhaps the server asks for a certificate: UNDERCROFT_CACHE__CERT_FILE."
    return "Perhaps the server does not speak TLS at this port: redis:// instead of rediss://."


def _try_files(settings: CacheSettings) -> None:
    """Now, in one sentence: the client would only find out at its first connection."""
    context = ssl.create_default_context()
    name, file = "CA_FILE", settings.ca_file
    try:
        if settings.ca_file:
            context.load_verify_locations(settings.ca_file)
        name, file = "CERT_FILE", settings.cert_file
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file or settings.cert_file)
    except (OSError, ssl.SSLError) as error:
        cause = error.strerror if isinstance(error, FileNotFoundError) else "no PEM, or no match"
        raise SettingsInvalid(f"UNDERCROFT_CACHE__{name}: {file}: {cause}.") from error


def _text(path: Path | None) -> str | None:
    return str(path) if path else None
