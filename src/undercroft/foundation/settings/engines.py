"""Where Postgres and Valkey are, and how many connections a worker opens."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from undercroft.foundation.libpq import without_libpq_settings
from undercroft.foundation.settings.group import SettingsGroup


class DatabaseSettings(SettingsGroup):
    url: SecretStr | None = Field(
        None, description="PostgreSQL 15 or newer. Unset: the embedded server under the home."
    )
    listen_url: SecretStr | None = Field(
        None,
        description="Direct URL for LISTEN/NOTIFY when `url` is a transaction-mode pooler.",
    )
    authenticator_url: SecretStr | None = Field(
        None,
        description="Login of the rows API for the service key, a NOINHERIT member of anon, "
        "authenticated and service_role. Unset: derived from `url`, with a role that migrations "
        "create.",
    )
    authenticator_role: str = Field(
        "undercroft_authenticator", description="Name of that role when it is derived."
    )
    visitor_url: SecretStr | None = Field(
        None,
        description="Login of the rows API for everybody else, a NOINHERIT member of anon and "
        "authenticated alone. Unset: `authenticator_url` where that is set, else derived.",
    )
    visitor_role: str = Field(
        "undercroft_visitor", description="Name of that role when it is derived."
    )
    developer_url: SecretStr | None = Field(
        None,
        description="Login that owns customers' tables and functions and runs the SQL console. "
        "Unset: derived from `url`, with a role that migrations create.",
    )
    developer_role: str = Field(
        "undercroft_developer", description="Name of that role when it is derived."
    )
    pool_size: int = Field(15, ge=1, description="Control-plane connections a worker keeps.")
    pool_overflow: int = Field(
        0, ge=0, description="Further ones it may open under load; each is closed after its use."
    )
    pool_timeout: timedelta = Field(
        timedelta(seconds=10), description="Wait for a free connection before answering 503."
    )
    statement_timeout: timedelta = Field(
        timedelta(seconds=60), description="Longest statement of the control plane."
    )
    pooled: bool = Field(
        False,
        description="True behind a transaction-mode pooler: no prepared statements, no LISTEN.",
    )

    @field_validator("url", "listen_url", "authenticator_url", "visitor_url", "developer_url")
    @classmethod
    def _is_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            message = "it must begin with postgresql://"
            raise ValueError(message)
        return SecretStr(without_libpq_settings(url.get_secret_value())) if url else url


class CacheSettings(SettingsGroup):
    url: SecretStr | None = Field(
        None,
        description="Redis or Valkey: redis://, redis+sentinel:// or redis+cluster://; by TLS "
        "rediss://, rediss+sentinel:// or rediss+cluster://. Unset: the embedded server under the "
        "home.",
    )
    ca_file: Path | None = Field(
        None,
        description="Who may have signed the server's certificate (PEM). Unset: whom the machine "
        "trusts.",
    )
    cert_file: Path | None = Field(
        None, description="Certificate to show to a server that asks for one (PEM)."
    )
    key_file: Path | None = Field(None, description="Its private key, unless it is in the same.")
    prefix: str = Field("undercroft", description="First part of every key we write.")
    timeout: timedelta = Field(
        timedelta(seconds=1), description="Longest wait for an answer before doing without."
    )
