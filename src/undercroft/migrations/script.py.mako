"""${message}"""

% if "sa." in (upgrades or "") + (downgrades or ""):
import sqlalchemy as sa
% endif
from alembic import op
% if "postgresql." in (upgrades or "") + (downgrades or ""):
from sqlalchemy.dialects import postgresql
% endif

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Waiting for a lock would stop every query queued behind us: rather fail and try again.
    op.execute("SET LOCAL lock_timeout = '5s'")
    ${upgrades if upgrades else "raise RuntimeError('write this migration')"}


def downgrade() -> None:
    ${downgrades if downgrades else "raise RuntimeError('write this migration')"}
