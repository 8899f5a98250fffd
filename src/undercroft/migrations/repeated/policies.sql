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

-- Policies of our own tables are their owner's to make, see `data/tables/policies/ours.py`.
DROP FUNCTION IF EXISTS undercroft.change_our_policies(text, text, text);
CREATE OR REPLACE FUNCTION undercroft.change_our_policies(statement text, longest_wait text)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('lock_timeout', longest_wait, true);
    EXECUTE statement;
END $$;
REVOKE ALL ON FUNCTION undercroft.change_our_policies(text, text) FROM PUBLIC;
