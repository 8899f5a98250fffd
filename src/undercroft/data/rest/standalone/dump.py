"""Writes settings the way `postgrest --dump-config` does, and an example of a file of them."""

from undercroft.data.rest.standalone.claim_path import parse_claim_path, show_claim_path
from undercroft.data.rest.standalone.settings import StandaloneSettings
from undercroft.data.schema.introspect import HOISTED_SETTINGS
from undercroft.data.schema.model import QualifiedName

Value = str | int | bool | QualifiedName | tuple[str, ...] | None


def dump_config(settings: StandaloneSettings) -> str:
    """Write every setting as it is in force, in the form of a configuration file."""
    values = {
        **_of_database(settings),
        **_of_pool(settings),
        **_of_answers(settings),
        **_of_server(settings),
        **_of_tokens(settings),
        **dict(settings.rest.app_settings),
    }
    return "".join(f"{name} = {_show(values[name])}\n" for name in sorted(values))


def example_config(settings: StandaloneSettings) -> str:
    """Write the file that says what is so anyway, every line commented out."""
    lines = dump_config(settings).splitlines()
    return "\n".join(["# Every setting with its default", *(f"# {line}" for line in lines), ""])


def _show(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, QualifiedName):
        value = ".".join(part for part in value if part)
    elif isinstance(value, tuple):
        value = ",".join(value)
    escaped = (value or "").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _of_database(settings: StandaloneSettings) -> dict[str, Value]:
    rest = settings.rest
    return {
        "db-aggregates-enabled": rest.aggregates_enabled,
        "db-anon-role": rest.anon_role,
        "db-channel": settings.channel,
        "db-channel-enabled": settings.channel_enabled,
        "db-config": settings.reads_db_config,
        "db-extra-search-path": rest.extra_search_path,
        "db-hoisted-tx-settings": _hoisted(settings),
        "db-max-rows": rest.max_rows,
        "db-plan-enabled": rest.plan_enabled,
        "db-pre-config": settings.pre_config,
        "db-pre-request": rest.pre_request,
        "db-prepared-statements": rest.prepared_statements,
        "db-root-spec": rest.root_spec,
        "db-schemas": rest.schemas,
        "db-tx-end": rest.tx_end.value,
        "db-uri": settings.db_uri,
    }


def _hoisted(settings: StandaloneSettings) -> tuple[str, ...]:
    """Name the isolation level, too, which is not a setting like others here."""
    names = settings.hoisted_settings
    return (*names, "default_transaction_isolation") if names == HOISTED_SETTINGS else names


def _of_pool(settings: StandaloneSettings) -> dict[str, Value]:
    pool = settings.pool
    return {
        "db-pool": pool.size,
        "db-pool-acquisition-timeout": pool.acquire_timeout,
        "db-pool-automatic-recovery": pool.recovers,
        "db-pool-max-idletime": pool.longest_rest,
        "db-pool-max-lifetime": pool.longest_life,
    }


def _of_answers(settings: StandaloneSettings) -> dict[str, Value]:
    rest = settings.rest
    return {
        "client-error-verbosity": "verbose" if rest.verbose_errors else "minimal",
        "openapi-mode": rest.openapi_mode.value,
        "openapi-security-active": rest.openapi_security_active,
        "openapi-server-proxy-uri": rest.openapi_server_proxy_uri,
        "server-cors-allowed-origins": rest.cors_allowed_origins,
        "server-timing-enabled": rest.server_timing,
        "server-trace-header": rest.server_trace_header,
        "url-use-legacy-target-names": rest.legacy_target_names,
    }


def _of_server(settings: StandaloneSettings) -> dict[str, Value]:
    server, admin = settings.server, settings.admin
    return {
        "admin-server-host": admin.host,
        "admin-server-port": admin.port,
        "admin-server-unix-socket": admin.unix_socket,
        "admin-server-unix-socket-mode": f"{admin.unix_socket_mode:o}",
        "log-level": settings.log_level,
        "log-query": settings.logs_queries,
        "server-host": server.host,
        "server-port": server.port,
        "server-reuseport": server.shares_port,
        "server-unix-socket": server.unix_socket,
        "server-unix-socket-mode": f"{server.unix_socket_mode:o}",
    }


def _of_tokens(settings: StandaloneSettings) -> dict[str, Value]:
    tokens = settings.jwt
    return {
        "jwt-aud": tokens.audience,
        "jwt-cache-max-entries": tokens.cache_entries,
        "jwt-role-claim-key": show_claim_path(parse_claim_path(tokens.role_claim_key)),
        "jwt-secret": tokens.secret,
        "jwt-secret-is-base64": tokens.secret_is_base64,
    }
