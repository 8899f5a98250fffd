"""What apps declared about people, so that it holds while they are switched off."""

from alembic import op

revision = "0018_app_personal"
down_revision = "0017_uploads_described"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # Filled by the next upgrade that knows the app.
    op.execute("ALTER TABLE undercroft.apps ADD COLUMN personal jsonb NOT NULL DEFAULT '[]'")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE undercroft.apps DROP COLUMN personal")
