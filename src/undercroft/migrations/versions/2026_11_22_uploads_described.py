"""Resumable uploads say again how their clients described them, and may be compressed."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0017_uploads_described"
down_revision = "0016_rows"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE storage.uploads
    ADD COLUMN encoding text,
    ADD COLUMN described text NOT NULL DEFAULT '';
"""
DOWN = """
ALTER TABLE storage.uploads DROP COLUMN encoding, DROP COLUMN described;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), DOWN)
