"""Settings kept in the database: `alter role authenticator set pgrst.db_schemas = …`."""

import asyncpg

from undercroft.data.rest.query.sql import qualified
from undercroft.data.schema.model import QualifiedName

_PREFIX = "pgrst."
NAMES = (
    "client_error_verbosity",
    "db_aggregates_enabled",
    "db_anon_role",
    "db_extra_search_path",
    "db_hoisted_tx_settings",
    "db_max_rows",
    "db_plan_enabled",
    "db_pre_request",
    "db_prepared_statements",
    "db_root_spec",
    "db_schemas",
    "db_tx_end",
    "jwt_aud",
    "jwt_cache_max_entries",
    "jwt_role_claim_key",
    "jwt_secret",
    "jwt_secret_is_base64",
    "openapi_mode",
    "openapi_security_active",
    "openapi_server_proxy_uri",
    "server_cors_allowed_origins",
    "server_timing_enabled",
    "server_trace_header",
)

# Of the settings of the login role, those for this database come before those for all.
_OF_ROLE = """
select distinct on (name) name, value
from (
    select
        setting.setdatabase as database,
        split_part(item, '=', 1) as name,
        substr(item, strpos(item, '=') + 1) as value
    from pg_catalog.pg_db_role_setting as setting
    cross join lateral unnest(setting.setconfig) as item
    where setting.setrole = (select oid from pg_catalog.pg_roles where rolname = current_user)
        and setting.setdatabase in (
            0, (select oid from pg_catalog.pg_database where datname = current_database())
        )
) as found
where name = any ($1::text[])
order by name, database desc
"""


async def read_database_settings(
    connection: "asyncpg.Connection[asyncpg.Record]", pre_config: QualifiedName | None
) -> dict[str, str]:
    """Read the settings by name, without prefix. What `pre_config` sets, a role's overrules."""
    names = [f"{_PREFIX}{name}" for name in NAMES]
    found: dict[str, str] = {}
    async with connection.transaction():
        if pre_config is not None:
            await connection.fetch(f"select {qualified(pre_config)}()")
            rows = await connection.fetch(
                "select name, current_setting(name, true) as value from unnest($1::text[]) as name",
                names,
            )
            found |= {row["name"]: row["value"] for row in rows if row["value"]}
        found |= {row["name"]: row["value"] for row in await connection.fetch(_OF_ROLE, names)}
    return {name.removeprefix(_PREFIX): value for name, value in found.items()}
