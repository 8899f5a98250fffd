"""Structured logs: one event name and its facts, the request id on each line, no secrets."""

import logging
import sys
from typing import Any

import structlog

from undercroft.foundation.context import request_id
from undercroft.foundation.settings import ObservabilitySettings


def configure_logging(settings: ObservabilitySettings) -> None:
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    # Plain tracebacks: local variables hold passwords and connection addresses.
    plain = structlog.dev.plain_traceback
    renderer: Any = structlog.dev.ConsoleRenderer(exception_formatter=plain)
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _add_request_id,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    tracebacks = [structlog.processors.format_exc_info] if as_json else []
    structlog.configure(
        processors=[*shared, *tracebacks, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    _route_standard_logging(level, shared, tracebacks, renderer)


def _route_standard_logging(
    level: int, shared: list[Any], tracebacks: list[Any], renderer: Any
) -> None:
    """Give libraries' log lines the same form as ours."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *tracebacks,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))


def _add_request_id(_logger: Any, _method: str, event: Any) -> Any:
    current = request_id()
    if current != "-":
        event.setdefault("request_id", current)
    return event
