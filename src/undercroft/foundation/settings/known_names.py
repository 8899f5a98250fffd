"""Environment names that people already use, and the setting each one sets."""

from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from pydantic_settings.sources import DotEnvSettingsSource

KNOWN_NAMES = {
    "DATABASE_URL": "database.url",
    "REDIS_URL": "cache.url",
    "VALKEY_URL": "cache.url",
    "MODE": "mode",
    "ENVIRONMENT": "environment",
    "SECRET_KEY": "secret_key",
    "SENTRY_DSN": "observability.sentry_dsn",
    "LOG_LEVEL": "observability.log_level",
    "FIRST_SUPERUSER_EMAIL": "auth.first_superuser_email",
    "FIRST_SUPERUSER_PASSWORD": "auth.first_superuser_password",
    "CSP_MODE": "http.csp_mode",
    "BACKEND_CORS_ORIGINS": "http.cors_origins",
    "FRONTEND_URL": "http.frontend_url",
    "EMAIL_HOST": "notifications.email_host",
    "EMAIL_PORT": "notifications.email_port",
    "EMAIL_USER": "notifications.email_user",
    "EMAIL_PASSWORD": "notifications.email_password",
    "EMAIL_USE_TLS": "notifications.email_security",
    "TWILIO_ACCOUNT_SID": "notifications.twilio_account_sid",
    "TWILIO_AUTH_TOKEN": "notifications.twilio_auth_token",
    "TWILIO_PHONE_NUMBER": "notifications.twilio_phone_number",
    "TWILIO_WHATSAPP_NUMBER": "notifications.twilio_whatsapp_number",
    "TWILIO_MESSAGING_SERVICE_ID": "notifications.twilio_messaging_service_id",
    "TWILIO_CONTENT_ID": "notifications.twilio_content_id",
}


SWITCH = dict.fromkeys(("1", "true", "yes", "on"), "auto") | dict.fromkeys(
    ("0", "false", "no", "off"), "none"
)


class KnownNamesSource(PydanticBaseSettingsSource):
    """Reads `KNOWN_NAMES` from an environment mapping; our own names win over them."""

    def __init__(self, settings: type[BaseSettings], environ: dict[str, str]) -> None:
        super().__init__(settings)
        self._environ = environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: the whole mapping is built at once."""
        del field
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, path in KNOWN_NAMES.items():
            if text := self._environ.get(name, "").strip():
                _put(values, path.split("."), _decode(path, text))
        return values


def dotenv_values(source: PydanticBaseSettingsSource) -> dict[str, str]:
    """Everything the .env file holds, names in upper case; empty when there is none."""
    if not isinstance(source, DotEnvSettingsSource):
        return {}
    return {key.upper(): value or "" for key, value in source.env_vars.items()}


def _put(values: dict[str, Any], path: list[str], value: object) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


def _decode(path: str, text: str) -> object:
    if path == "notifications.email_security":
        # The old name is a switch; the setting's own words pass too.
        return SWITCH.get(text.lower(), text.lower())
    if path != "http.cors_origins":
        return text.lower() if path.endswith("log_level") else text
    # Both habits exist: a JSON list and a comma-separated line.
    return tuple(part for part in (p.strip(' "[]') for p in text.split(",")) if part)
