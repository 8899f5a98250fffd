"""Which apps have a schema here, and the epochs of cached reads."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0009_apps"
down_revision = "0008_webhooks"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE undercroft.apps (
    name varchar(31) CONSTRAINT pk_apps PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE undercroft.cache_epochs (
    namespace varchar(63) CONSTRAINT pk_cache_epochs PRIMARY KEY,
    epoch bigint NOT NULL DEFAULT 1
);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), TABLES)


def downgrade() -> None:
    # Until the next upgrade replaces the function, it must not look into a table that is gone.
    run_script(
        op.get_bind(),
        """
        CREATE OR REPLACE FUNCTION undercroft.is_exposed(schema_name text) RETURNS boolean
        LANGUAGE sql IMMUTABLE AS $$
            SELECT schema_name NOT IN ('undercroft', 'auth', 'notifications', 'realtime',
                                       'storage', 'extensions', 'information_schema')
               AND schema_name NOT LIKE 'pg\\_%'
        $$;
        DROP TABLE undercroft.cache_epochs, undercroft.apps;
        """,
    )
