"""Alembic's environment. `foundation.db.migrate` hands in the connection; no .ini is needed.

With an `app` among the attributes it works on that app's schema, where its version table is too.
"""

from functools import cache
from typing import Any

from alembic import context
from sqlalchemy import text

from undercroft.foundation.db import Base
from undercroft.foundation.db.scripts import run_script
from undercroft.migrations.repeated import scripts

VERSION_SCHEMA = "undercroft"

attributes = context.config.attributes
app = attributes.get("app")
SCHEMAS: frozenset[str] = frozenset({app.schema}) if app else frozenset()
if attributes.get("compare"):  # half a second of imports that a migration does without
    from undercroft.migrations.models import OUR_SCHEMAS

    SCHEMAS = SCHEMAS or OUR_SCHEMAS


def _is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Compare only tables that models describe; the job queue's belong to its library."""
    if kind == "schema":
        return name in SCHEMAS
    if kind == "table":
        return f"{parents['schema_name']}.{name}" in Base.metadata.tables
    return True


def _is_here(thing: Any, _name: str | None, kind: str, reflected: bool, _other: Any) -> bool:
    if kind == "index" and not reflected:
        return _can_be_had(thing)
    return kind != "table" or thing.schema in SCHEMAS


def _can_be_had(index: Any) -> bool:
    """Migrations leave out an index of an extension that the server does not give us."""
    wanted = set(index.dialect_options["postgresql"]["ops"].values())
    return not wanted or wanted <= _operator_classes()


@cache
def _operator_classes() -> frozenset[str]:
    connection = attributes["connection"]
    return frozenset(connection.scalars(text("SELECT opcname FROM pg_catalog.pg_opclass")))


context.configure(
    connection=attributes["connection"],
    target_metadata=Base.metadata,
    include_schemas=True,
    include_name=_is_ours,
    include_object=_is_here,
    version_table_schema=app.schema if app else VERSION_SCHEMA,
    compare_server_default=False,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
if attributes.get("repeat"):
    with context.begin_transaction():
        for script in scripts():
            run_script(attributes["connection"], script)
