-- Event triggers need a superuser. Without them: grants follow only the policies made through our
-- own API, and a schema change made elsewhere is seen after `NOTIFY pgrst, 'reload schema'`.

CREATE OR REPLACE FUNCTION undercroft.on_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command record;
    policy record;
    lasting boolean := false;
BEGIN
    FOR command IN SELECT * FROM pg_event_trigger_ddl_commands() LOOP
        lasting := lasting OR command.schema_name IS DISTINCT FROM 'pg_temp';
        CONTINUE WHEN command.in_extension OR command.schema_name LIKE 'pg\_%';
        -- Closed until opened: a table made by anyone, by any tool, starts with row security on.
        IF command.command_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO')
           AND command.object_type = 'table'
           AND undercroft.is_exposed(command.schema_name) THEN
            BEGIN
                EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY',
                               command.object_identity);
                PERFORM undercroft.grant_by_policies(command.objid);
            EXCEPTION WHEN insufficient_privilege THEN
                -- A superuser's: closed as well, since no role of the API has a grant on it.
                RAISE WARNING '% is not ours: enable row security on it yourself.',
                    command.object_identity;
            END;
        END IF;
        IF command.command_tag IN ('CREATE TABLE', 'ALTER TABLE')
           AND command.object_type = 'table'
           AND to_regprocedure('realtime.keep_old_rows(oid)') IS NOT NULL THEN
            PERFORM realtime.keep_old_rows(command.objid);
        END IF;
        -- Grants follow policies: who has a policy for a command holds the privilege it needs,
        -- nobody else holds any.
        IF command.command_tag IN ('CREATE POLICY', 'ALTER POLICY') THEN
            FOR policy IN SELECT polrelid FROM pg_policy WHERE oid = command.objid LOOP
                PERFORM undercroft.grant_by_policies(policy.polrelid);
            END LOOP;
        END IF;
    END LOOP;
    IF lasting THEN  -- temporary tables are no news to anybody
        PERFORM pg_notify('pgrst', 'reload schema');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION undercroft.on_drop() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped record;
BEGIN
    FOR dropped IN SELECT * FROM pg_event_trigger_dropped_objects() LOOP
        IF dropped.object_type IN ('table', 'table column', 'view', 'materialized view',
                                   'foreign table', 'function', 'type', 'schema', 'policy',
                                   'table constraint', 'trigger', 'rule',
                                   'publication relation')
           AND NOT dropped.is_temporary THEN
            PERFORM pg_notify('pgrst', 'reload schema');
            RETURN;
        END IF;
    END LOOP;
END $$;

-- They call functions that the schema's owner may replace, so they must not run as a superuser.
DO $$
DECLARE
    schema_owner name := (SELECT nspowner::regrole::name FROM pg_namespace
                           WHERE nspname = 'undercroft');
BEGIN
    EXECUTE format('ALTER FUNCTION undercroft.on_ddl() OWNER TO %I', schema_owner);
    EXECUTE format('ALTER FUNCTION undercroft.on_drop() OWNER TO %I', schema_owner);
END $$;

DROP EVENT TRIGGER IF EXISTS undercroft_ddl;
CREATE EVENT TRIGGER undercroft_ddl ON ddl_command_end
    WHEN TAG IN (
        'CREATE SCHEMA', 'ALTER SCHEMA', 'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO',
        'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'CREATE VIEW', 'ALTER VIEW',
        'CREATE MATERIALIZED VIEW', 'ALTER MATERIALIZED VIEW', 'CREATE FUNCTION', 'ALTER FUNCTION',
        'CREATE TRIGGER', 'CREATE TYPE', 'ALTER TYPE', 'CREATE RULE', 'COMMENT', 'GRANT', 'REVOKE',
        'CREATE POLICY', 'ALTER POLICY', 'ALTER PUBLICATION')
    EXECUTE FUNCTION undercroft.on_ddl();

DROP EVENT TRIGGER IF EXISTS undercroft_drop;
CREATE EVENT TRIGGER undercroft_drop ON sql_drop EXECUTE FUNCTION undercroft.on_drop();

-- Names of prepared statements: customers' code runs in sessions of the control plane, and who knows
-- a name could put another statement in its place. The rows API's logins look at their own.
DO $$
DECLARE
    login name;
BEGIN
    REVOKE ALL ON pg_catalog.pg_prepared_statements FROM PUBLIC;
    REVOKE ALL ON FUNCTION pg_catalog.pg_prepared_statement() FROM PUBLIC;
    FOR login IN
        SELECT r.rolname FROM pg_roles r
         WHERE r.rolcanlogin AND NOT r.rolcreaterole AND NOT r.rolsuper
           AND EXISTS (SELECT FROM pg_auth_members m
                        WHERE m.member = r.oid AND m.roleid = to_regrole('anon'))
    LOOP
        EXECUTE format('GRANT SELECT ON pg_catalog.pg_prepared_statements TO %I', login);
        EXECUTE format('GRANT EXECUTE ON FUNCTION pg_catalog.pg_prepared_statement() TO %I', login);
    END LOOP;
END $$;
