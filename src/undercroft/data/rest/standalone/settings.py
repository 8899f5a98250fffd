"""What a process that serves the rows API alone is told, whoever said it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from undercroft.data.rest.config import RestConfig
from undercroft.data.schema.introspect import HOISTED_SETTINGS
from undercroft.data.schema.model import QualifiedName


class InvalidSettingError(Exception):
    """A setting has a value that it cannot have. The messages are PostgREST's."""


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """How tokens are verified. `secret` is text, a JWK or a JWK set."""

    secret: str | None = None
    secret_is_base64: bool = False
    audience: str | None = None
    role_claim_key: str = ".role"
    cache_entries: int = 1000


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens: at a Unix socket, if there is one, else at host and port."""

    host: str = "!4"
    port: int | None = None
    unix_socket: str | None = None
    unix_socket_mode: int = 0o660
    shares_port: bool = False


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Times are in seconds."""

    size: int = 10
    acquire_timeout: int = 10
    longest_life: int = 1800
    longest_rest: int = 30
    recovers: bool = True


@dataclass(frozen=True, slots=True)
class Sources:
    """Where settings come from, to be read again when they may have changed."""

    environ: Mapping[str, str]
    config_file: Path | None = None


@dataclass(frozen=True, slots=True)
class StandaloneSettings:
    """Everything a process that serves the rows API alone has to know."""

    rest: RestConfig
    jwt: JwtSettings
    pool: PoolSettings
    server: Listen
    admin: Listen
    sources: Sources = field(repr=False)
    db_uri: str = "postgresql://"
    channel: str = "pgrst"
    channel_enabled: bool = True
    reads_db_config: bool = True
    pre_config: QualifiedName | None = None
    hoisted_settings: tuple[str, ...] = HOISTED_SETTINGS
    log_level: str = "error"
    logs_queries: bool = False
