"""What else a webhook's calls carry: headers of the receiver's choice, sealed."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0015_webhook_headers"
down_revision = "0014_people"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE webhooks.webhooks
    ADD COLUMN header_names varchar(64)[] NOT NULL DEFAULT '{}',
    ADD COLUMN sealed_headers bytea;
"""
DOWN = """
ALTER TABLE webhooks.webhooks DROP COLUMN header_names, DROP COLUMN sealed_headers;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), DOWN)
