-- Watching tables, and broadcasts from the database. Names and meanings of `topic`, `send` and
-- `broadcast_changes` are Supabase's, so that triggers and policies written for it run unchanged.

-- Have Postgres log whole old rows of a table and its partitions, because only they show who could
-- see a row that is deleted. Of a table with columns that are computed when read it logs the key at
-- most, and refuses every update where there is no key.
CREATE OR REPLACE FUNCTION realtime.log_old_rows(relation regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT c.oid::regclass AS name, c.relreplident AS logged,
               EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
                          AND a.attgenerated = 'v' AND NOT a.attisdropped) AS computes,
               EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS keyed
          FROM pg_class c
         WHERE c.oid = relation OR c.oid IN (SELECT relid FROM pg_partition_tree(relation))
    LOOP
        IF part.computes AND NOT part.keyed AND part.logged <> 'i' THEN
            RAISE feature_not_supported USING MESSAGE = format(
                'changes of %s cannot be logged: it has virtual columns and no primary key',
                part.name);
        ELSIF part.computes AND part.logged = 'f' THEN
            EXECUTE format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', part.name);
        ELSIF NOT part.computes AND part.logged <> 'f' THEN
            EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', part.name);
        END IF;
    END LOOP;
END $$;

-- The same after a table has changed: for a new partition, or a new virtual column.
CREATE OR REPLACE FUNCTION realtime.keep_old_rows(changed oid) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT realtime.log_old_rows(c.oid::regclass) FROM pg_class c
     WHERE c.oid IN (SELECT relid FROM pg_partition_ancestors(changed) UNION SELECT changed)
       AND c.relreplident = 'f'
       AND EXISTS (SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
                    WHERE r.prrelid = c.oid
                      AND p.pubname IN ('supabase_realtime', 'undercroft_changes'))
$$;

-- Log the changes of `relation`, and say so to every process.
CREATE OR REPLACE FUNCTION realtime.watch(relation regclass, publication name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM realtime.log_old_rows(relation);
    IF NOT EXISTS (
        SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
         WHERE p.pubname = publication AND r.prrelid = relation) THEN
        EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s', publication, relation);
    END IF;
    PERFORM pg_notify('undercroft_watched', '');
END $$;

CREATE OR REPLACE FUNCTION realtime.unwatch(relation regclass, publication name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    part regclass;
BEGIN
    IF EXISTS (
        SELECT FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
         WHERE p.pubname = publication AND r.prrelid = relation) THEN
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', publication, relation);
    END IF;
    -- Whoever else publishes the table may need its old rows.
    IF NOT EXISTS (
        SELECT FROM pg_publication_tables t
          JOIN pg_namespace n ON n.nspname = t.schemaname
          JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
         WHERE c.oid = relation OR c.oid IN (SELECT relid FROM pg_partition_tree(relation)))
    THEN
        FOR part IN SELECT relid FROM pg_partition_tree(relation) UNION SELECT relation LOOP
            IF (SELECT relreplident FROM pg_class WHERE oid = part) = 'f' THEN
                EXECUTE format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', part);
            END IF;
        END LOOP;
    END IF;
    PERFORM pg_notify('undercroft_watched', '');
END $$;

-- From version 18 on Postgres publishes stored columns that it generates, and refuses updates of a
-- table whose old rows have some that are not.
DO $$
DECLARE
    publication name;
BEGIN
    IF current_setting('server_version_num')::integer >= 180000 THEN
        FOR publication IN
            SELECT pubname FROM pg_publication
             WHERE pubname IN ('supabase_realtime', 'undercroft_changes')
               AND pg_has_role(pubowner, 'USAGE')
        LOOP
            EXECUTE format('ALTER PUBLICATION %I SET (publish_generated_columns = stored)',
                           publication);
        END LOOP;
    END IF;
END $$;

REVOKE EXECUTE ON FUNCTION
    realtime.log_old_rows(regclass), realtime.keep_old_rows(oid),
    realtime.watch(regclass, name), realtime.unwatch(regclass, name)
    FROM PUBLIC;

CREATE OR REPLACE FUNCTION realtime.topic() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('realtime.topic', true), '')
$$;

CREATE OR REPLACE FUNCTION realtime.send(
    payload jsonb, event text, topic text, private boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('realtime.topic', send.topic, true);
    INSERT INTO realtime.messages (id, payload, event, topic, private, extension)
    VALUES (gen_random_uuid(), send.payload, send.event, send.topic, send.private, 'broadcast');
END $$;

-- The tail of a trigger function: tells a topic what happened to a row.
CREATE OR REPLACE FUNCTION realtime.broadcast_changes(
    topic_name text, event_name text, operation text, table_name text, table_schema text,
    new record, old record, level text DEFAULT 'ROW') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF level = 'STATEMENT' THEN
        RAISE EXCEPTION 'broadcast_changes must be called from a row-level trigger';
    END IF;
    PERFORM realtime.send(
        jsonb_build_object(
            'id', gen_random_uuid(), 'operation', operation, 'table', table_name,
            'schema', table_schema, 'record', to_jsonb(new), 'old_record', to_jsonb(old)),
        event_name, topic_name, true);
END $$;

-- Every process hears of a stored broadcast when its transaction commits, and looks it up.
CREATE OR REPLACE FUNCTION realtime.announce_message() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF new.extension = 'broadcast' THEN
        PERFORM pg_notify('undercroft_broadcast', new.id || ' ' || new.topic);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER announce_message AFTER INSERT ON realtime.messages
    FOR EACH ROW EXECUTE FUNCTION realtime.announce_message();

-- Which of `rows`, the text of a JSON array, each caller passes. `statement` selects (place, test)
-- from $1 and runs as the caller, a role with claims. A caller for whom it fails passes nothing,
-- unless `strict`. The role ends with the transaction.
DROP FUNCTION IF EXISTS undercroft.judge_rows;
CREATE FUNCTION undercroft.judge_rows(
    roles text[], claims text[], topic text, statement text, rows text, strict boolean)
RETURNS TABLE (caller integer, place bigint, test integer)
LANGUAGE plpgsql AS $$
DECLARE
    number integer;
    question text;
BEGIN
    PERFORM set_config('realtime.topic', topic, true);
    FOR number IN 1 .. cardinality(roles) LOOP
        question := format('SELECT %s, found.* FROM (%s) AS found', number, statement);
        PERFORM set_config('request.jwt.claims', claims[number], true),
                set_config('role', roles[number], true);
        IF strict THEN
            RETURN QUERY EXECUTE question USING rows;
        ELSE
            BEGIN
                RETURN QUERY EXECUTE question USING rows;
            EXCEPTION WHEN OTHERS THEN
                NULL;  -- this caller's claims do not suit the policy
            END;
        END IF;
    END LOOP;
END $$;
