"""Reads PostgREST's own settings: variables (`PGRST_…`) and a configuration file.

The same names may come from the database, as `pgrst.db_schemas` on the login role; those win.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from undercroft.data.rest.config import OpenApiMode, RestConfig, TransactionEnd
from undercroft.data.rest.standalone.options import Options, from_file, split
from undercroft.data.rest.standalone.settings import (
    InvalidSettingError,
    JwtSettings,
    Listen,
    PoolSettings,
    Sources,
    StandaloneSettings,
)
from undercroft.data.schema.introspect import HOISTED_SETTINGS

LOG_LEVELS = ("crit", "error", "warn", "info", "debug")
VERBOSITIES = ("verbose", "minimal")
_FORBIDDEN_SCHEMAS = ("pg_catalog", "information_schema")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[\w.~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_LAST_PORT = 65535
_OCTAL = re.compile(r"[0-7]+", re.ASCII)


def read_settings(
    environ: Mapping[str, str],
    database: Mapping[str, str] | None = None,
    config_file: Path | None = None,
) -> StandaloneSettings:
    """Read all settings; `database` holds those found in the database, without a prefix."""
    sources = Sources(environ, config_file)
    options = Options(sources, database or {})
    server, admin = _server(options), _admin(options)
    if admin.port is not None and admin.port == server.port:
        raise InvalidSettingError("admin-server-port cannot be the same as server-port")
    return StandaloneSettings(
        rest=_rest(options, server),
        jwt=_jwt(options),
        pool=_pool(options),
        server=server,
        admin=admin,
        sources=sources,
        db_uri=from_file(options.text("db_uri") or "postgresql://"),
        channel=options.text("db_channel") or "pgrst",
        channel_enabled=options.flag("db_channel_enabled", default=True),
        reads_db_config=options.flag("db_config", default=True),
        pre_config=options.qualified_name("db_pre_config"),
        hoisted_settings=options.listed("db_hoisted_tx_settings") or HOISTED_SETTINGS,
        log_level=options.choice("log_level", LOG_LEVELS, "error", "Invalid logging level"),
        logs_queries=_logs_queries(options),
    )


def _rest(options: Options, server: Listen) -> RestConfig:
    origins = options.text("server_cors_allowed_origins")
    modes, ends = [item.value for item in OpenApiMode], [item.value for item in TransactionEnd]
    mode = options.choice("openapi_mode", modes, "follow-privileges", "Invalid openapi-mode")
    end = options.choice("db_tx_end", ends, "commit", "Invalid transaction termination")
    verbosity = options.choice(
        "client_error_verbosity", VERBOSITIES, "verbose", "Invalid client-error-verbosity"
    )
    search_path = options.raw("db_extra_search_path")
    return RestConfig(
        schemas=_schemas(options),
        extra_search_path=("public",) if search_path is None else split(search_path),
        anon_role=options.text("db_anon_role"),
        max_rows=options.number("db_max_rows"),
        pre_request=options.qualified_name("db_pre_request"),
        tx_end=TransactionEnd(end),
        aggregates_enabled=options.flag("db_aggregates_enabled"),
        plan_enabled=options.flag("db_plan_enabled"),
        root_spec=options.qualified_name("db_root_spec"),
        openapi_mode=OpenApiMode(mode),
        openapi_security_active=options.flag("openapi_security_active"),
        openapi_server_proxy_uri=_proxy_uri(options),
        openapi_host=f"{options.text('server_host') or '0.0.0.0'}:{server.port}",  # noqa: S104
        prepared_statements=options.flag("db_prepared_statements", default=True),
        server_timing=options.flag("server_timing_enabled"),
        server_trace_header=options.text("server_trace_header"),
        cors_allowed_origins=split(origins) if origins else (),
        verbose_errors=verbosity == "verbose",
        legacy_target_names=options.flag("url_use_legacy_target_names", default=True),
        app_settings=options.app_settings(),
    )


def _jwt(options: Options) -> JwtSettings:
    secret = options.text("jwt_secret")
    audience = options.text("jwt_aud")
    if audience is not None and ":" in audience and not _URI.fullmatch(audience):
        raise InvalidSettingError("jwt-aud should be a string or a valid URI")
    entries = options.number("jwt_cache_max_entries")
    return JwtSettings(
        secret=None if secret is None else from_file(secret),
        secret_is_base64=options.flag("jwt_secret_is_base64"),
        audience=audience,
        role_claim_key=options.text("jwt_role_claim_key") or ".role",
        cache_entries=1000 if entries is None else entries,
    )


def _pool(options: Options) -> PoolSettings:
    return PoolSettings(
        size=options.number("db_pool") or 10,
        acquire_timeout=options.number("db_pool_acquisition_timeout") or 10,
        longest_life=options.number("db_pool_max_lifetime") or 1800,
        longest_rest=options.number("db_pool_max_idletime") or 30,
        recovers=options.flag("db_pool_automatic_recovery", default=True),
    )


def _server(options: Options) -> Listen:
    port = options.number("server_port", most=_LAST_PORT)
    return Listen(
        options.text("server_host") or "!4",
        3000 if port is None else port,
        options.text("server_unix_socket"),
        _socket_mode(options, "server_unix_socket_mode"),
        options.flag("server_reuseport"),
    )


def _admin(options: Options) -> Listen:
    return Listen(
        options.text("admin_server_host") or options.text("server_host") or "!4",
        options.number("admin_server_port", most=_LAST_PORT),
        options.text("admin_server_unix_socket"),
        _socket_mode(options, "admin_server_unix_socket_mode"),
    )


def _logs_queries(options: Options) -> bool:
    """Read a flag, which version 13 had as words."""
    words = ("disabled", "main-query", "false", "true")
    given = options.choice("log_query", words, "disabled", "Invalid SQL logging value")
    return given in ("main-query", "true")


def _socket_mode(options: Options, name: str) -> int:
    text = options.text(name) or "660"
    shown = name.replace("_", "-")
    if not _OCTAL.fullmatch(text):
        raise InvalidSettingError(f"Invalid {shown}: not an octal")
    if not 0o600 <= int(text, 8) <= 0o777:
        raise InvalidSettingError(f"Invalid {shown}: needs to be between 600 and 777")
    return int(text, 8)


def _schemas(options: Options) -> tuple[str, ...]:
    schemas = options.listed("db_schemas") or ("public",)
    for schema in schemas:
        if schema in _FORBIDDEN_SCHEMAS:
            raise InvalidSettingError(f"db-schemas does not allow schema: '{schema}'")
    return schemas


def _proxy_uri(options: Options) -> str | None:
    uri = options.text("openapi_server_proxy_uri")
    if uri is None:
        return None
    try:
        parts = urlsplit(uri)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise InvalidSettingError(
            "Malformed proxy uri, a correct example: https://example.com:8443/basePath"
        )
    return uri
