"""What the rows engine can be told. Values only: where they are read from is not its business."""

from dataclasses import dataclass
from enum import Enum

from undercroft.data.schema.model import QualifiedName


class TransactionEnd(Enum):
    """How a transaction ends, and whether `Prefer: tx=` may choose otherwise."""

    COMMIT = "commit"
    COMMIT_ALLOW_OVERRIDE = "commit-allow-override"
    ROLLBACK = "rollback"
    ROLLBACK_ALLOW_OVERRIDE = "rollback-allow-override"

    @property
    def rolls_back(self) -> bool:
        return self in (TransactionEnd.ROLLBACK, TransactionEnd.ROLLBACK_ALLOW_OVERRIDE)

    @property
    def may_override(self) -> bool:
        return self.value.endswith("-allow-override")


class OpenApiMode(Enum):
    """Which relations the root describes: those the caller may use, all, or no root at all."""

    FOLLOW_PRIVILEGES = "follow-privileges"
    IGNORE_PRIVILEGES = "ignore-privileges"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class RestConfig:
    """The first of `schemas` answers requests that name none.

    `anon_role` is also how a refusal is told apart: 401 for it, 403 for every other role.
    `cors_allowed_origins` of None leaves CORS to whoever mounts the app; an empty one allows all.
    `secret_headers` are kept from functions and policies, which may be anybody's code.
    `legacy_target_names` lets filters name an embed that has an alias by its relation as well.
    `explains_refusals` gives refusals for want of rights a hint, which PostgREST does not.
    `cleans_sessions` leaves no state of theirs to the next request on the connection.
    `openapi_host` is the address the OpenAPI document names; None is that of the request.
    """

    schemas: tuple[str, ...] = ("public",)
    extra_search_path: tuple[str, ...] = ("public",)
    anon_role: str | None = None
    max_rows: int | None = None
    pre_request: QualifiedName | None = None
    tx_end: TransactionEnd = TransactionEnd.COMMIT
    aggregates_enabled: bool = False
    plan_enabled: bool = False
    root_spec: QualifiedName | None = None
    openapi_mode: OpenApiMode = OpenApiMode.FOLLOW_PRIVILEGES
    openapi_security_active: bool = False
    openapi_server_proxy_uri: str | None = None
    openapi_host: str | None = None
    prepared_statements: bool = True
    server_timing: bool = False
    server_trace_header: str | None = None
    cors_allowed_origins: tuple[str, ...] | None = None
    verbose_errors: bool = True
    legacy_target_names: bool = True
    app_settings: tuple[tuple[str, str], ...] = ()
    max_body_bytes: int | None = None
    prefix: str = ""
    secret_headers: frozenset[str] = frozenset()
    cleans_sessions: bool = False
    explains_refusals: bool = False
