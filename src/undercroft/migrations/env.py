"""Alembic's environment. `foundation.db.migrate` hands in the connection; no .ini is needed."""

from typing import Any

from alembic import context

from undercroft.foundation.db import Base
from undercroft.foundation.db.scripts import run_script
from undercroft.migrations.models import OUR_SCHEMAS
from undercroft.migrations.repeated import scripts

VERSION_SCHEMA = "undercroft"


def _is_ours(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "schema" or name in OUR_SCHEMAS


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    include_schemas=True,
    include_name=_is_ours,
    version_table_schema=VERSION_SCHEMA,
    compare_server_default=False,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
if context.config.attributes.get("repeat"):
    with context.begin_transaction():
        for script in scripts():
            run_script(context.config.attributes["connection"], script)
