"""The activity log: what happened, by whom, chained so that changes behind its back show."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0010_activity"
down_revision = "0009_apps"
branch_labels = None
depends_on = None

ACTIVITY = """
CREATE SCHEMA operations;
CREATE TABLE operations.activity (
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    level varchar(20) NOT NULL,
    action varchar(100) NOT NULL,
    module varchar(50) NOT NULL,
    message varchar(1000) NOT NULL,
    actor_type varchar(20) NOT NULL,
    user_id uuid,
    api_key_id uuid,
    session_id uuid,
    target_type varchar(50),
    target_id varchar(255),
    before jsonb,
    after jsonb,
    metadata jsonb,
    error_details jsonb,
    address varchar(45),
    user_agent varchar(500),
    device varchar(100),
    browser varchar(100),
    os varchar(100),
    platform varchar(50),
    endpoint varchar(255),
    method varchar(10),
    status_code smallint,
    request_id varchar(100),
    duration_ms integer,
    CONSTRAINT pk_activity PRIMARY KEY (created_at, id),
    CONSTRAINT ck_activity_level CHECK (level IN ('debug', 'info', 'warn', 'error', 'audit'))
) PARTITION BY RANGE (created_at);
CREATE INDEX ix_activity_user_id ON operations.activity (user_id, created_at);
CREATE INDEX ix_activity_target_id ON operations.activity (target_id, created_at);
CREATE TABLE operations.activity_default PARTITION OF operations.activity DEFAULT;
"""

CHAIN = """
CREATE TABLE operations.activity_unsealed (
    entry_id uuid NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE operations.activity_seals (
    number bigint CONSTRAINT pk_activity_seals PRIMARY KEY,
    sealed_at timestamptz NOT NULL,
    newest_at timestamptz NOT NULL,
    entry_ids uuid[] NOT NULL,
    entry_hashes bytea NOT NULL,
    previous bytea NOT NULL,
    hash bytea NOT NULL,
    signature bytea NOT NULL
);
CREATE TABLE operations.activity_purges (
    id uuid CONSTRAINT pk_activity_purges PRIMARY KEY,
    purged_at timestamptz NOT NULL,
    purged_before timestamptz NOT NULL,
    anchor_number bigint NOT NULL,
    anchor_hash bytea NOT NULL,
    signature bytea NOT NULL
);
"""

# What happened stays as it was written. Only `purge_activity` takes entries away, old ones.
APPEND_ONLY = """
CREATE FUNCTION operations.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('undercroft.retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'The activity log is append-only.' USING ERRCODE = '42501';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON operations.activity
    FOR EACH ROW EXECUTE FUNCTION operations.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON operations.activity_seals
    FOR EACH ROW EXECUTE FUNCTION operations.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON operations.activity_purges
    FOR EACH ROW EXECUTE FUNCTION operations.refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON operations.activity
    FOR EACH STATEMENT EXECUTE FUNCTION operations.refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON operations.activity_default
    FOR EACH STATEMENT EXECUTE FUNCTION operations.refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON operations.activity_seals
    FOR EACH STATEMENT EXECUTE FUNCTION operations.refuse_change();
CREATE TRIGGER never_truncated BEFORE TRUNCATE ON operations.activity_purges
    FOR EACH STATEMENT EXECUTE FUNCTION operations.refuse_change();
"""

# Rows that came before their month had a partition wait in the default one and move over.
PARTITIONS = """
CREATE FUNCTION operations.ensure_activity_month(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first date := date_trunc('month', month)::date;
    past date := (date_trunc('month', month) + interval '1 month')::date;
    name text := 'activity_' || to_char(month, 'YYYY_MM');
BEGIN
    IF to_regclass('operations.' || name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM set_config('undercroft.retention', 'on', true);
    EXECUTE format('CREATE TABLE operations.%I (LIKE operations.activity INCLUDING ALL)', name);
    EXECUTE format(
        'WITH moved AS (DELETE FROM operations.activity_default'
        ' WHERE created_at >= %L AND created_at < %L RETURNING *)'
        ' INSERT INTO operations.%I SELECT * FROM moved',
        first::timestamp AT TIME ZONE 'UTC', past::timestamp AT TIME ZONE 'UTC', name);
    EXECUTE format(
        'ALTER TABLE operations.activity ATTACH PARTITION operations.%I'
        ' FOR VALUES FROM (%L) TO (%L)',
        name, first::timestamp AT TIME ZONE 'UTC', past::timestamp AT TIME ZONE 'UTC');
    EXECUTE format(
        'CREATE TRIGGER never_truncated BEFORE TRUNCATE ON operations.%I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION operations.refuse_change()', name);
    PERFORM set_config('undercroft.retention', 'off', true);
END $$;
SELECT operations.ensure_activity_month(
           (now() AT TIME ZONE 'UTC' + ahead * interval '1 month')::date)
  FROM generate_series(0, 3) AS ahead;
"""

# Whole months are dropped where nobody waits for the answer (`whole_months`); the rest, at most
# `most` rows at a time, is deleted. Returns the number of entries gone.
RETENTION = """
CREATE FUNCTION operations.purge_activity(
    purged_before timestamptz, most bigint, whole_months boolean
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone bigint := 0;
    counted bigint;
    partition record;
BEGIN
    PERFORM set_config('undercroft.retention', 'on', true);
    IF whole_months THEN
        FOR partition IN
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
             WHERE i.inhparent = 'operations.activity'::regclass
               AND c.relname ~ '^activity_[0-9]{4}_[0-9]{2}$'
               AND (to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month')
                   AT TIME ZONE 'UTC' <= purged_before
        LOOP
            EXECUTE format('SELECT count(*) FROM operations.%I', partition.relname) INTO counted;
            EXECUTE format('DROP TABLE operations.%I', partition.relname);
            gone := gone + counted;
        END LOOP;
    END IF;
    DELETE FROM operations.activity_unsealed WHERE created_at < purged_before;
    WITH old AS (
        SELECT a.created_at, a.id FROM operations.activity a
         WHERE a.created_at < purged_before ORDER BY a.created_at, a.id LIMIT most
    ), deleted AS (
        DELETE FROM operations.activity a USING old
         WHERE a.created_at = old.created_at AND a.id = old.id AND a.created_at < purged_before
        RETURNING 1
    )
    SELECT count(*) INTO counted FROM deleted;
    PERFORM set_config('undercroft.retention', 'off', true);
    RETURN gone + counted;
END $$;
CREATE FUNCTION operations.forget_seals(up_to bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('undercroft.retention', 'on', true);
    DELETE FROM operations.activity_seals WHERE number <= up_to;
    PERFORM set_config('undercroft.retention', 'off', true);
END $$;
REVOKE ALL ON FUNCTION operations.ensure_activity_month(date) FROM PUBLIC;
REVOKE ALL ON FUNCTION operations.purge_activity(timestamptz, bigint, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION operations.forget_seals(bigint) FROM PUBLIC;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for script in (ACTIVITY, CHAIN, APPEND_ONLY, PARTITIONS, RETENTION):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP SCHEMA operations CASCADE")
