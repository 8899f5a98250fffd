-- Retention. Whole months are dropped where nobody waits for the answer (`whole_months`); the rest, at
-- most `most` rows at a time, is deleted. What is left for later keeps its place in the sealer's queue.
-- Returns the number of entries gone.
CREATE OR REPLACE FUNCTION operations.purge_activity(
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
    WITH old AS (
        SELECT a.created_at, a.id FROM operations.activity a
         WHERE a.created_at < purged_before ORDER BY a.created_at, a.id LIMIT most
    ), deleted AS (
        DELETE FROM operations.activity a USING old
         WHERE a.created_at = old.created_at AND a.id = old.id AND a.created_at < purged_before
        RETURNING 1
    )
    SELECT count(*) INTO counted FROM deleted;
    DELETE FROM operations.activity_unsealed u
     WHERE u.created_at < purged_before AND NOT EXISTS (
        SELECT FROM operations.activity a
         WHERE a.created_at = u.created_at AND a.id = u.entry_id);
    PERFORM set_config('undercroft.retention', 'off', true);
    RETURN gone + counted;
END $$;
