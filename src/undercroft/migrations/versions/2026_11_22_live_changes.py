"""The log of changes, its consumers, stored broadcasts."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0006_realtime"
down_revision = "0005_index_builds"
branch_labels = None
depends_on = None

LOG = """
CREATE SCHEMA realtime;
GRANT USAGE ON SCHEMA realtime TO anon, authenticated, service_role;

CREATE TABLE realtime.sources (
    epoch integer GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_sources PRIMARY KEY,
    slot varchar(63) NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE realtime.change_log (
    epoch integer NOT NULL,
    lsn bigint NOT NULL,
    ordinal integer NOT NULL,
    committed_at timestamptz NOT NULL,
    logged_at timestamptz NOT NULL DEFAULT now(),
    size_bytes integer NOT NULL,
    previous_lsn bigint NOT NULL,
    previous_ordinal integer NOT NULL,
    batch bytea NOT NULL,
    CONSTRAINT pk_change_log PRIMARY KEY (epoch, lsn, ordinal)
);
CREATE TABLE realtime.consumers (
    name varchar(63) CONSTRAINT pk_consumers PRIMARY KEY,
    epoch integer NOT NULL,
    lsn bigint NOT NULL,
    ordinal integer NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT now()
);
"""

MESSAGES = """
CREATE TABLE realtime.messages (
    id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT pk_messages PRIMARY KEY,
    topic text NOT NULL,
    extension text NOT NULL,
    payload jsonb,
    event text,
    private boolean NOT NULL DEFAULT false,
    inserted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    CONSTRAINT ck_messages_topic CHECK (length(topic) BETWEEN 1 AND 255),
    CONSTRAINT ck_messages_event CHECK (length(event) <= 255)
);
CREATE INDEX ix_messages_topic_inserted_at ON realtime.messages (topic, inserted_at);
CREATE INDEX ix_messages_inserted_at ON realtime.messages (inserted_at);
ALTER TABLE realtime.messages ENABLE ROW LEVEL SECURITY;
GRANT SELECT, INSERT ON realtime.messages TO anon, authenticated;
GRANT ALL ON realtime.messages TO service_role;
"""

# What a dump of a Supabase project brings along stays as it is.
PUBLICATIONS = """
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['supabase_realtime', 'undercroft_changes'] LOOP
        IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = wanted) THEN
            EXECUTE format(
                'CREATE PUBLICATION %I WITH (publish_via_partition_root = true)', wanted);
        END IF;
    END LOOP;
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for script in (LOG, MESSAGES, PUBLICATIONS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    run_script(
        op.get_bind(),
        """
        DROP PUBLICATION IF EXISTS supabase_realtime;
        DROP PUBLICATION IF EXISTS undercroft_changes;
        DROP SCHEMA realtime CASCADE;
        """,
    )
