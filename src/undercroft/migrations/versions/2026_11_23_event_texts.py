"""Events are kept as they were written: `jsonb` refuses some of what `json` columns hold."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0021_event_texts"
down_revision = "0020_one_chain"
branch_labels = None
depends_on = None

UP = "ALTER TABLE webhooks.events ALTER COLUMN data TYPE json USING data::json"
DOWN = "ALTER TABLE webhooks.events ALTER COLUMN data TYPE jsonb USING data::jsonb"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), DOWN)
