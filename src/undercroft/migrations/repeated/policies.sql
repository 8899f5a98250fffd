-- Which tables the API's roles may touch at all follows from the policies of each table.

CREATE OR REPLACE FUNCTION undercroft.is_exposed(schema_name text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT schema_name NOT IN ('undercroft', 'auth', 'notifications', 'operations', 'realtime',
                               'storage', 'webhooks', 'extensions', 'information_schema')
       AND schema_name NOT LIKE 'pg\_%'
       -- Apps answer for their own tables, by their own routes.
       AND NOT EXISTS (SELECT FROM undercroft.apps WHERE apps.name = schema_name)
$$;

-- Tables that row security opens: customers' own, and those of ours that are made for it.
CREATE OR REPLACE FUNCTION undercroft.takes_policies(schema_name text, table_name text)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT undercroft.is_exposed(schema_name)
        OR (schema_name, table_name) IN (
            ('storage', 'objects'), ('storage', 'buckets'), ('realtime', 'messages'))
$$;

-- Give each API role the privileges that some policy of `relation` lets it use. A policy for
-- PUBLIC counts for anon and authenticated; service_role passes row security and holds everything.
-- Nothing is taken away, and where somebody granted single columns the table is left at that.
CREATE OR REPLACE FUNCTION undercroft.grant_by_policies(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    target text;
    sequence text;
    granted record;
BEGIN
    SELECT format('%I.%I', n.nspname, c.relname) INTO target
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = relation AND c.relkind IN ('r', 'p') AND undercroft.is_exposed(n.nspname);
    IF target IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT ALL ON TABLE %s TO service_role', target);
    FOR granted IN
        SELECT DISTINCT api.role, verb.privilege
          FROM pg_policy p
         CROSS JOIN unnest(ARRAY['anon', 'authenticated']) AS api (role)
         CROSS JOIN LATERAL unnest(CASE p.polcmd
                    WHEN 'r' THEN ARRAY['SELECT']
                    WHEN 'a' THEN ARRAY['INSERT']
                    WHEN 'w' THEN ARRAY['UPDATE']
                    WHEN 'd' THEN ARRAY['DELETE']
                    ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']
                END) AS verb (privilege)
         WHERE p.polrelid = relation AND p.polpermissive
           AND (0 = ANY (p.polroles) OR api.role::regrole = ANY (p.polroles))
           AND NOT (verb.privilege <> 'DELETE'
                    AND has_any_column_privilege(api.role, relation, verb.privilege))
    LOOP
        EXECUTE format('GRANT %s ON TABLE %s TO %I', granted.privilege, target, granted.role);
    END LOOP;
    FOR sequence IN
        SELECT d.objid::regclass::text FROM pg_depend d
          JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
         WHERE d.refobjid = relation AND d.deptype IN ('a', 'i')
    LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO anon, authenticated, service_role', sequence);
    END LOOP;
END $$;

-- Whether the policies of `relation` need its own rows to decide about a row, by whatever way. Postgres
-- says so when it rewrites a statement, which PREPARE does without planning: nothing of customers'
-- runs. All is rolled back, with what the statement's function set. Where a lock is not had within
-- `longest_wait`, a `strict` caller gets the error and another one false.
CREATE OR REPLACE FUNCTION undercroft.reads_itself(
    relation oid, longest_wait text, strict boolean) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role text;
    names text[];
    probe text := '';
BEGIN
    SELECT ARRAY[format('%I.%I', n.nspname, c.relname), quote_ident(min(a.attname))] INTO names
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.oid = relation AND c.relrowsecurity
     GROUP BY n.nspname, c.relname;
    IF names IS NULL THEN
        RETURN false;
    END IF;
    SELECT string_agg(format('PREPARE undercroft_probe AS %s; DEALLOCATE undercroft_probe', verb), ';')
      INTO probe
      FROM unnest(ARRAY['SELECT FROM %1$s', 'INSERT INTO %1$s DEFAULT VALUES',
                        'UPDATE %1$s SET %2$s = DEFAULT', 'DELETE FROM %1$s']) AS verb;
    FOREACH role IN ARRAY ARRAY['anon', 'authenticated'] LOOP
        BEGIN
            PERFORM set_config('lock_timeout', longest_wait, true);
            EXECUTE format('SELECT undercroft.count_as_%s($1, $2, $3)', role)
              USING '{}', probe, names;
            RAISE EXCEPTION USING errcode = 'UCOK1';
        EXCEPTION
            WHEN invalid_object_definition THEN
                RETURN true;
            WHEN lock_not_available OR deadlock_detected THEN
                IF strict THEN
                    RAISE;
                END IF;
            WHEN OTHERS THEN
                NULL;  -- a role without a way to the schema, above all
        END;
    END LOOP;
    RETURN false;
END $$;

-- Policies of our own tables are their owner's to make, see `data/tables/policies/ours.py`.
DROP FUNCTION IF EXISTS undercroft.change_our_policies(text, text, text);
CREATE OR REPLACE FUNCTION undercroft.change_our_policies(statement text, longest_wait text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('lock_timeout', longest_wait, true);
    EXECUTE statement;
END $$;
REVOKE ALL ON FUNCTION undercroft.change_our_policies(text, text) FROM PUBLIC;
