"""Reads PostgREST's own variables (`PGRST_…`) into settings.

The same names may come from the database, as `pgrst.db_schemas` on the login role; those win.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from undercroft.data.rest.config import OpenApiMode, RestConfig, TransactionEnd
from undercroft.data.schema.introspect import HOISTED_SETTINGS
from undercroft.data.schema.model import QualifiedName

_TRUE = {"true", "yes", "on", "1", "t"}
_FALSE = {"false", "no", "off", "0", "f"}
_LOG_LEVELS = ("crit", "error", "warn", "info", "debug")
_ALIASES = {
    "db_schemas": "db_schema",
    "db_max_rows": "max_rows",
    "db_pre_request": "pre_request",
    "db_root_spec": "root_spec",
    "jwt_role_claim_key": "role_claim_key",
    "jwt_secret_is_base64": "secret_is_base64",
}
_FORBIDDEN_SCHEMAS = ("pg_catalog", "information_schema")
_APP_SETTINGS = "PGRST_APP_SETTINGS_"


class InvalidSettingError(Exception):
    """A variable has a value that it cannot have; the message names both."""


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """How tokens are verified. `secret` is text, a JWK or a JWK set."""

    secret: str | None = None
    secret_is_base64: bool = False
    audience: str | None = None
    role_claim_key: str = ".role"
    cache_entries: int = 1000


@dataclass(frozen=True, slots=True)
class StandaloneSettings:
    """Everything a process that serves the rows API alone has to know."""

    rest: RestConfig
    jwt: JwtSettings
    db_uri: str = "postgresql://"
    pool_size: int = 10
    pool_timeout: float = 10.0
    channel: str = "pgrst"
    channel_enabled: bool = True
    reads_db_config: bool = True
    pre_config: QualifiedName | None = None
    hoisted_settings: tuple[str, ...] = HOISTED_SETTINGS
    host: str = "!4"
    port: int = 3000
    unix_socket: str | None = None
    log_level: str = "error"
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def bind_host(self) -> str:
        """The address to listen on; `*` and its kin are the wildcards of PostgREST's server."""
        return {"*": "0.0.0.0", "*4": "0.0.0.0", "!4": "0.0.0.0", "*6": "::", "!6": "::"}.get(  # noqa: S104 - asked for
            self.host, self.host
        )


def read_settings(
    environ: Mapping[str, str], database: Mapping[str, str] | None = None
) -> StandaloneSettings:
    """Read all settings; `database` holds those found in the database, without a prefix."""
    return _Reader(environ, database or {}).settings()


class _Reader:
    def __init__(self, environ: Mapping[str, str], database: Mapping[str, str]) -> None:
        self._environ = environ
        self._database = database

    def settings(self) -> StandaloneSettings:
        return StandaloneSettings(
            rest=self._rest(),
            jwt=JwtSettings(
                secret=self._secret(),
                secret_is_base64=self._flag("jwt_secret_is_base64"),
                audience=self._audience(),
                role_claim_key=self._text("jwt_role_claim_key") or ".role",
                cache_entries=self._number("jwt_cache_max_entries") or 0
                if self._text("jwt_cache_max_entries")
                else 1000,
            ),
            db_uri=_from_file(self._text("db_uri") or "postgresql://"),
            pool_size=self._number("db_pool") or 10,
            pool_timeout=self._number("db_pool_acquisition_timeout") or 10,
            channel=self._text("db_channel") or "pgrst",
            channel_enabled=self._flag("db_channel_enabled", default=True),
            reads_db_config=self._flag("db_config", default=True),
            pre_config=_name(self._text("db_pre_config")),
            hoisted_settings=self._list("db_hoisted_tx_settings") or HOISTED_SETTINGS,
            host=self._text("server_host") or "!4",
            port=self._port(),
            unix_socket=self._text("server_unix_socket"),
            log_level=self._choice("log_level", _LOG_LEVELS, "error"),
            environment=self._environ,
        )

    def _rest(self) -> RestConfig:
        origins = self._text("server_cors_allowed_origins")
        verbosity = self._choice("client_error_verbosity", ("verbose", "minimal"), "verbose")
        return RestConfig(
            schemas=self._schemas(),
            extra_search_path=self._search_path(),
            anon_role=self._text("db_anon_role"),
            max_rows=self._number("db_max_rows"),
            pre_request=_name(self._text("db_pre_request")),
            tx_end=TransactionEnd(
                self._choice("db_tx_end", [item.value for item in TransactionEnd], "commit")
            ),
            aggregates_enabled=self._flag("db_aggregates_enabled"),
            plan_enabled=self._flag("db_plan_enabled"),
            root_spec=_name(self._text("db_root_spec")),
            openapi_mode=OpenApiMode(
                self._choice(
                    "openapi_mode", [item.value for item in OpenApiMode], "follow-privileges"
                )
            ),
            openapi_security_active=self._flag("openapi_security_active"),
            openapi_server_proxy_uri=self._proxy_uri(),
            openapi_host=f"{self._text('server_host') or '0.0.0.0'}:{self._port()}",  # noqa: S104
            prepared_statements=self._flag("db_prepared_statements", default=True),
            server_timing=self._flag("server_timing_enabled"),
            server_trace_header=self._text("server_trace_header"),
            cors_allowed_origins=tuple(origin.strip() for origin in origins.split(","))
            if origins
            else (),
            verbose_errors=verbosity == "verbose",
            legacy_target_names=self._flag("url_use_legacy_target_names", default=True),
            app_settings=self._app_settings(),
        )

    def _raw(self, name: str) -> str | None:
        if name in self._database:
            return self._database[name]
        found = self._environ.get(f"PGRST_{name.upper()}")
        if found is None and name in _ALIASES:
            return self._environ.get(f"PGRST_{_ALIASES[name].upper()}")
        return found

    def _text(self, name: str) -> str | None:
        return self._raw(name) or None

    def _list(self, name: str) -> tuple[str, ...]:
        return _split(self._text(name) or "")

    def _flag(self, name: str, *, default: bool = False) -> bool:
        text = (self._text(name) or "").lower()
        if text in _TRUE:
            return True
        return False if text in _FALSE else default

    def _number(self, name: str) -> int | None:
        text = self._text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit()):
            raise InvalidSettingError(f"PGRST_{name.upper()} is not a number: {text!r}")
        return int(text)

    def _choice(self, name: str, choices: "list[str] | tuple[str, ...]", default: str) -> str:
        text = self._text(name) or default
        if text not in choices:
            known = ", ".join(choices)
            raise InvalidSettingError(f"PGRST_{name.upper()} is {text!r} and not one of: {known}")
        return text

    def _port(self) -> int:
        port = self._number("server_port")
        return 3000 if port is None else port

    def _schemas(self) -> tuple[str, ...]:
        schemas = self._list("db_schemas") or ("public",)
        for schema in schemas:
            if schema in _FORBIDDEN_SCHEMAS:
                raise InvalidSettingError(f"PGRST_DB_SCHEMAS cannot expose {schema!r}")
        return schemas

    def _search_path(self) -> tuple[str, ...]:
        text = self._raw("db_extra_search_path")
        return ("public",) if text is None else _split(text)

    def _secret(self) -> str | None:
        secret = self._text("jwt_secret")
        return None if secret is None else _from_file(secret)

    def _audience(self) -> str | None:
        audience = self._text("jwt_aud")
        if audience is not None and ":" in audience and not urlsplit(audience).scheme:
            raise InvalidSettingError("PGRST_JWT_AUD is neither a plain text nor a URI")
        return audience

    def _proxy_uri(self) -> str | None:
        uri = self._text("openapi_server_proxy_uri")
        if uri is None:
            return None
        try:
            parts = urlsplit(uri)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        if not valid:
            raise InvalidSettingError(f"PGRST_OPENAPI_SERVER_PROXY_URI is not a URI: {uri!r}")
        return uri

    def _app_settings(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (f"app.settings.{name.removeprefix(_APP_SETTINGS)}", value)
            for name, value in sorted(self._environ.items())
            if name.startswith(_APP_SETTINGS)
        )


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _name(text: str | None) -> QualifiedName | None:
    """Read `schema.name`; without a schema the search path decides."""
    if text is None:
        return None
    schema, _, name = text.rpartition(".")
    return QualifiedName(schema, name)


def _from_file(text: str) -> str:
    """Follow `@path` to the content of a file, without its last line break."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text("utf-8").rstrip("\n")
    except OSError as error:
        raise InvalidSettingError(f"Cannot read {text[1:]}: {error.strerror}") from error
