"""Indexes that are being built by a job."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0005_index_builds"
down_revision = "0004_lookups"
branch_labels = None
depends_on = None

INDEX_BUILDS = """
CREATE TABLE undercroft.index_builds (
    id uuid CONSTRAINT pk_index_builds PRIMARY KEY,
    table_oid bigint NOT NULL,
    schema_name varchar(63) NOT NULL,
    index_name varchar(63) NOT NULL,
    statement text NOT NULL,
    state varchar(16) NOT NULL
        CONSTRAINT ck_index_builds_state CHECK (state IN ('building', 'failed')),
    reason varchar(2000),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_index_builds_schema_name UNIQUE (schema_name, index_name)
);
CREATE INDEX ix_index_builds_table_oid ON undercroft.index_builds (table_oid);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), INDEX_BUILDS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE undercroft.index_builds")
