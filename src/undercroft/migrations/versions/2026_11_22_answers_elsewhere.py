"""Answers by Idempotency-Key of work that commits in the developer's transaction: imports."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0019_answers_elsewhere"
down_revision = "0018_app_personal"
branch_labels = None
depends_on = None

# The transaction that has to have committed for the answer to count.
UP = "ALTER TABLE undercroft.idempotency_keys ADD COLUMN transaction xid8;"
DOWN = "ALTER TABLE undercroft.idempotency_keys DROP COLUMN transaction;"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), DOWN)
