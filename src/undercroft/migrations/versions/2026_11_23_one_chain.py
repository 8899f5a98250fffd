"""One batch of changes follows another: of two readers at once, one is refused."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0020_one_chain"
down_revision = "0019_answers_elsewhere"
branch_labels = None
depends_on = None

# What two readers logged twice stands in the longer batch whole.
UP = """
    DELETE FROM realtime.change_log short USING realtime.change_log long
     WHERE (short.epoch, short.previous_lsn, short.previous_ordinal)
         = (long.epoch, long.previous_lsn, long.previous_ordinal)
       AND (short.lsn, short.ordinal) < (long.lsn, long.ordinal);
    ALTER TABLE realtime.change_log
        ADD CONSTRAINT uq_change_log_epoch_previous_lsn_previous_ordinal
        UNIQUE (epoch, previous_lsn, previous_ordinal);
"""
DOWN = """
    ALTER TABLE realtime.change_log
        DROP CONSTRAINT uq_change_log_epoch_previous_lsn_previous_ordinal;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), DOWN)
