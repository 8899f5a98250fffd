"""What was run in the SQL console, and snippets that people keep."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0011_sql"
down_revision = "0010_activity"
branch_labels = None
depends_on = None

CONSOLE = """
CREATE TABLE undercroft.sql_runs (
    id uuid CONSTRAINT pk_sql_runs PRIMARY KEY,
    user_id uuid CONSTRAINT fk_sql_runs_user_id_users
        REFERENCES auth.users (id) ON DELETE SET NULL,
    caller varchar(100) NOT NULL,
    query text NOT NULL,
    is_truncated boolean NOT NULL DEFAULT false,
    read_only boolean NOT NULL,
    dry_run boolean NOT NULL,
    outcome varchar(16) NOT NULL,
    sqlstate varchar(5),
    error varchar(1000),
    statements integer,
    row_count integer,
    milliseconds integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_sql_runs_outcome
        CHECK (outcome IN ('running', 'succeeded', 'failed', 'cancelled', 'lost'))
);
CREATE INDEX ix_sql_runs_created_at_id ON undercroft.sql_runs (created_at, id);
CREATE INDEX ix_sql_runs_caller_created_at_id ON undercroft.sql_runs (caller, created_at, id);
CREATE INDEX ix_sql_runs_user_id ON undercroft.sql_runs (user_id);

CREATE TABLE undercroft.sql_snippets (
    id uuid CONSTRAINT pk_sql_snippets PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT fk_sql_snippets_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    name varchar(200) NOT NULL,
    description varchar(2000),
    sql_code text NOT NULL,
    is_shared boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_sql_snippets_created_at_id ON undercroft.sql_snippets (created_at, id);
CREATE INDEX ix_sql_snippets_user_id ON undercroft.sql_snippets (user_id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), CONSOLE)


def downgrade() -> None:
    run_script(op.get_bind(), "DROP TABLE undercroft.sql_snippets, undercroft.sql_runs;")
