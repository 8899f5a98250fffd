"""Requests for rows are pipelined, and need no function of ours any more."""

from alembic import op

revision = "0016_rows"
down_revision = "0015_webhook_headers"
branch_labels = None
depends_on = None

DROP = """
DO $$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN SELECT oid FROM pg_catalog.pg_proc
                WHERE pronamespace = 'undercroft'::regnamespace AND proname = 'rest_execute'
    LOOP
        EXECUTE 'DROP FUNCTION ' || old;
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.execute(DROP)


def downgrade() -> None:
    """An older release makes its function itself, after every upgrade."""
