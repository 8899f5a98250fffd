"""The whole of the settings, loaded once by whoever starts the process and handed on from there."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings.auth import AuthSettings
from undercroft.foundation.settings.data import DataSettings
from undercroft.foundation.settings.engines import CacheSettings, DatabaseSettings
from undercroft.foundation.settings.http import HttpSettings, RateLimitSettings
from undercroft.foundation.settings.known_names import KNOWN_NAMES, KnownNamesSource, dotenv_values
from undercroft.foundation.settings.notifications import NotificationSettings
from undercroft.foundation.settings.operations import (
    ActivitySettings,
    JobSettings,
    ObservabilitySettings,
)
from undercroft.foundation.settings.outbound import OutboundSettings
from undercroft.foundation.settings.realtime import RealtimeSettings
from undercroft.foundation.settings.sql import SqlSettings
from undercroft.foundation.settings.storage import StorageSettings
from undercroft.foundation.settings.uploads import UploadSettings
from undercroft.foundation.settings.webhooks import WebhookSettings

SHORTEST_SECRET = 32


class Environment(StrEnum):
    DEVELOPMENT = "development"
    TEST = "test"
    PRODUCTION = "production"


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="UNDERCROFT_",
        env_nested_delimiter="__",
        env_file=".env",
        extra="ignore",  # a .env holds other programs' lines too
        frozen=True,
        hide_input_in_errors=True,  # a rejected secret must not be printed
        nested_model_default_partial_update=True,
    )

    environment: Environment = Field(
        Environment.DEVELOPMENT, description="production refuses to start without real secrets."
    )
    mode: str = Field("api/v1", description="Prefix of the control plane.")
    home: Path = Field(
        Path(".undercroft"), description="Embedded engines, files and generated secrets."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Seals stored secrets; at least 32 characters, the same on every node. "
        "Unset on an embedded home: generated there.",
    )
    apps: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Apps to switch on, separated by commas: names of installed ones, or import "
        "paths such as shop.app:APP.",
        examples=["sites,streams,catalog"],
    )
    http: HttpSettings = HttpSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()
    database: DatabaseSettings = DatabaseSettings()
    cache: CacheSettings = CacheSettings()
    auth: AuthSettings = AuthSettings()
    data: DataSettings = DataSettings()
    realtime: RealtimeSettings = RealtimeSettings()
    storage: StorageSettings = StorageSettings()
    sql: SqlSettings = SqlSettings()
    notifications: NotificationSettings = NotificationSettings()
    outbound: OutboundSettings = OutboundSettings()
    uploads: UploadSettings = UploadSettings()
    webhooks: WebhookSettings = WebhookSettings()
    jobs: JobSettings = JobSettings()
    activity: ActivitySettings = ActivitySettings()
    observability: ObservabilitySettings = ObservabilitySettings()

    @field_validator("mode")
    @classmethod
    def _mode_is_a_path(cls, value: str) -> str:
        value = value.strip("/")
        if not value or any(part in {"", ".", ".."} for part in value.split("/")):
            message = "must be a path such as api/v1"
            raise ValueError(message)
        return value

    @field_validator("apps", mode="before")
    @classmethod
    def _apps_are_a_line(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part for part in (p.strip(' "[]') for p in value.split(",")) if part)

    @model_validator(mode="after")
    def _secret_is_long(self) -> "Settings":
        if self.secret_key and len(self.secret_key.get_secret_value()) < SHORTEST_SECRET:
            message = f"SECRET_KEY must have at least {SHORTEST_SECRET} characters"
            raise ValueError(message)
        return self

    @property
    def prefix(self) -> str:
        """Path of the control plane, `/api/v1`."""
        return f"/{self.mode}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del file_secret_settings
        known = dotenv_values(dotenv_settings) | dict(os.environ)
        return (
            init_settings,
            env_settings,
            dotenv_settings,
            KnownNamesSource(settings_cls, known),
        )


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and `.env`.

    Raises `SettingsInvalid`, which names each wrong variable and never repeats its value.
    """
    try:
        return Settings(**overrides)
    except ValidationError as error:
        lines = (
            f"{_variable(line['loc'])}: {line['msg']}" if line["loc"] else line["msg"]
            for line in error.errors(include_input=False, include_url=False)
        )
        raise SettingsInvalid("; ".join(lines).replace("Value error, ", "")) from error
    except SettingsError as error:
        if not isinstance(error.__cause__, json.JSONDecodeError):
            raise
        raise SettingsInvalid(_not_json(error.__cause__.doc)) from error


def _not_json(value: str) -> str:
    """Name what is set to this, in the environment or in `.env`."""
    given = dotenv_values(DotEnvSettingsSource(Settings)) | dict(os.environ)
    ours = [n for n, v in given.items() if v == value and n.upper().startswith("UNDERCROFT_")]
    return f'{" or ".join(ours)}: lists and objects are JSON, such as ["10.0.0.7"]'


def _variable(location: tuple[int | str, ...]) -> str:
    """The variable as whoever set it wrote it: `DATABASE_URL`, where that is what they set."""
    parts = [str(part) for part in location]
    ours = f"UNDERCROFT_{'__'.join(parts).upper()}"
    known = (name for name, path in KNOWN_NAMES.items() if path == ".".join(parts))
    return (
        ours if ours in os.environ else next((name for name in known if name in os.environ), ours)
    )
