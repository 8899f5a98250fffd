"""Failures to Sentry and traces to an OpenTelemetry collector, where the settings name one.

Both are extras: `pip install undercroft[sentry,otel]`. FastAPI makes the spans itself.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import Settings

SERVICE = "undercroft"


def configure_telemetry(settings: Settings, *, release: str) -> Callable[[], None]:
    """Start what is configured, in this process; return what sends the rest at its end.

    Raises `SettingsInvalid` for a missing extra.
    """
    observed = settings.observability
    if observed.sentry_dsn:
        _extra("sentry_sdk", "sentry").init(
            dsn=observed.sentry_dsn.get_secret_value(),
            environment=settings.environment.value,
            release=f"{SERVICE}@{release}",
            send_default_pii=False,
            # Failures are reported where they are rendered; nothing is patched.
            auto_enabling_integrations=False,
        )
    if observed.otlp_endpoint:
        return _start_tracing(observed.otlp_endpoint, release)
    return lambda: None


def report(error: BaseException) -> None:
    """Send an unforeseen failure to Sentry, if it is configured."""
    sdk = sys.modules.get("sentry_sdk")
    if sdk is not None:
        sdk.capture_exception(error)


def _start_tracing(endpoint: str, release: str) -> Callable[[], None]:
    exporter = _extra("opentelemetry.exporter.otlp.proto.http.trace_exporter", "otel")
    export = import_module("opentelemetry.sdk.trace.export")
    trace = import_module("opentelemetry.sdk.trace")
    resources = import_module("opentelemetry.sdk.resources")
    about = resources.Resource({"service.name": SERVICE, "service.version": release})
    provider = trace.TracerProvider(resource=about)
    address = f"{endpoint.rstrip('/')}/v1/traces"
    spans = export.BatchSpanProcessor(exporter.OTLPSpanExporter(endpoint=address))
    provider.add_span_processor(spans)
    import_module("opentelemetry.trace").set_tracer_provider(provider)
    shutdown: Callable[[], None] = provider.shutdown
    return shutdown


def _extra(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise SettingsInvalid(
            f"Install the extra first: pip install undercroft[{extra}]"
        ) from error
