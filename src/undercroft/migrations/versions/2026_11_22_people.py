"""Who brought whom, which device, who is locked out; refreshes that leave their row in place."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0014_people"
down_revision = "0013_media"
branch_labels = None
depends_on = None

# The index on expires_at was used by no query, and every refresh had to write to it.
UP = """
ALTER TABLE auth.users
    ADD COLUMN invited_by uuid
        CONSTRAINT fk_users_invited_by_users REFERENCES auth.users ON DELETE SET NULL;
CREATE INDEX ix_users_invited_by ON auth.users (invited_by) WHERE invited_by IS NOT NULL;
ALTER TABLE auth.sessions
    ADD COLUMN device_id varchar(255),
    ADD COLUMN place varchar(100);
ALTER TABLE auth.sessions SET (fillfactor = 85);
DROP INDEX auth.ix_sessions_expires_at;
ALTER TABLE auth.sign_in_failures
    ADD COLUMN user_id uuid
        CONSTRAINT fk_sign_in_failures_user_id_users REFERENCES auth.users ON DELETE CASCADE;
CREATE INDEX ix_sign_in_failures_user_id ON auth.sign_in_failures (user_id);
"""
# A managed server may not offer the extension, or not to us: then a search reads every row.
TRIGRAMS = """
DO $do$
DECLARE
    place text;
    indexed text;
BEGIN
    BEGIN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
    EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
        NULL;
    END;
    SELECT nspname INTO place FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE extname = 'pg_trgm';
    IF place IS NULL THEN
        RAISE NOTICE 'pg_trgm is not available: searches for organizations read all of them';
        RETURN;
    END IF;
    FOREACH indexed IN ARRAY ARRAY['name', 'slug'] LOOP
        EXECUTE format(
            'CREATE INDEX %I ON auth.organizations USING gin (lower(%I) %I.gin_trgm_ops)',
            'ix_organizations_' || indexed || '_trigrams', indexed, place
        );
    END LOOP;
END $do$
"""
DOWN = """
DROP INDEX IF EXISTS auth.ix_organizations_name_trigrams, auth.ix_organizations_slug_trigrams;
ALTER TABLE auth.sign_in_failures DROP COLUMN user_id;
CREATE INDEX ix_sessions_expires_at ON auth.sessions (expires_at);
ALTER TABLE auth.sessions RESET (fillfactor);
ALTER TABLE auth.sessions DROP COLUMN device_id, DROP COLUMN place;
ALTER TABLE auth.users DROP COLUMN invited_by;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), UP)
    op.execute(TRIGRAMS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), DOWN)
