"""Indexes for what is looked up on every sign-in and in searches of accounts."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0004_lookups"
down_revision = "0003_rights"
branch_labels = None
depends_on = None

# Searches ask for the start of a name, whatever the database's collation.
UP = """
CREATE INDEX ix_sessions_user_id ON auth.sessions (user_id);
DROP INDEX auth.ix_sessions_user_id_open;
CREATE INDEX ix_users_email_start ON auth.users (email text_pattern_ops);
CREATE INDEX ix_users_username_start ON auth.users (username text_pattern_ops);
CREATE INDEX ix_users_phone_start ON auth.users (phone text_pattern_ops);
CREATE INDEX ix_users_first_name_start ON auth.users (lower(first_name) text_pattern_ops);
CREATE INDEX ix_users_last_name_start ON auth.users (lower(last_name) text_pattern_ops);
CREATE INDEX ix_messages_recipient ON notifications.messages (recipient);
"""
DOWN = """
CREATE INDEX ix_sessions_user_id_open ON auth.sessions (user_id) WHERE ended_at IS NULL;
DROP INDEX auth.ix_sessions_user_id;
DROP INDEX auth.ix_users_email_start;
DROP INDEX auth.ix_users_username_start;
DROP INDEX auth.ix_users_phone_start;
DROP INDEX auth.ix_users_first_name_start;
DROP INDEX auth.ix_users_last_name_start;
DROP INDEX notifications.ix_messages_recipient;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), UP)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), DOWN)
