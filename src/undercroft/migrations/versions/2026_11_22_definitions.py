"""Functions and triggers of customers, in versions."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0012_definitions"
down_revision = "0011_sql"
branch_labels = None
depends_on = None

DEFINITIONS = """
CREATE TABLE undercroft.definitions (
    id uuid CONSTRAINT pk_definitions PRIMARY KEY,
    kind varchar(16) NOT NULL,
    schema_name varchar(63) NOT NULL,
    name varchar(63) NOT NULL,
    signature text NOT NULL,
    object_id oid NOT NULL,
    definition text NOT NULL,
    live text NOT NULL,
    roles varchar(63)[] NOT NULL,
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_definitions_kind CHECK (kind IN ('function', 'trigger')),
    CONSTRAINT uq_definitions_kind_object_id UNIQUE (kind, object_id)
);
CREATE TABLE undercroft.definition_versions (
    definition_id uuid NOT NULL CONSTRAINT fk_definition_versions_definition_id_definitions
        REFERENCES undercroft.definitions (id) ON DELETE CASCADE,
    version integer NOT NULL,
    definition text NOT NULL,
    roles varchar(63)[] NOT NULL,
    created_by uuid CONSTRAINT fk_definition_versions_created_by_users
        REFERENCES auth.users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_definition_versions PRIMARY KEY (definition_id, version)
);
CREATE INDEX ix_definition_versions_created_by ON undercroft.definition_versions (created_by);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), DEFINITIONS)


def downgrade() -> None:
    run_script(op.get_bind(), "DROP TABLE undercroft.definition_versions, undercroft.definitions;")
