"""Jobs, logs, metrics and traces."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr

from undercroft.foundation.settings.group import SettingsGroup


class JobSettings(SettingsGroup):
    concurrency: int = Field(10, ge=1, description="Jobs a worker process runs at once.")
    max_attempts: int = Field(8, ge=1, description="Tries before a job becomes a dead letter.")
    first_retry: timedelta = Field(timedelta(seconds=5), description="Doubles with every try.")
    longest_retry: timedelta = Field(timedelta(hours=1))
    poll_interval: timedelta = Field(
        timedelta(seconds=5), description="Look for work this often even without a notification."
    )
    heartbeat_timeout: timedelta = Field(
        timedelta(seconds=30),
        ge=timedelta(seconds=1),
        description="A job whose worker gave no sign for so long is run again by another.",
    )
    stop_grace: timedelta = Field(
        timedelta(seconds=30), description="Time running jobs get to finish when a worker stops."
    )
    log_retention: timedelta = Field(
        timedelta(days=7), description="How long the record of a finished job is kept."
    )


class ActivitySettings(SettingsGroup):
    retention: timedelta = Field(
        timedelta(days=400), ge=timedelta(days=1), description="Older entries are taken away."
    )


class ObservabilitySettings(SettingsGroup):
    log_level: Literal["debug", "info", "warning", "error"] = Field("info")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, JSON elsewhere."
    )
    access_log: bool = Field(True, description="One line per control-plane request.")
    metrics: bool = Field(True, description="Serve /metrics in Prometheus' format.")
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token that /metrics asks for. Unset: loopback callers only."
    )
    sentry_dsn: SecretStr | None = Field(None, description="Needs the extra `sentry`.")
    otlp_endpoint: str | None = Field(None, description="Needs the extra `otel`.")
