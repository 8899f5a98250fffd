-- The developer: owner of everything customers make, stranger to everything of ours. The control
-- plane is a member of it and so manages what it owns; it is a member of nobody, so that RESET ROLE,
-- SET ROLE and SET SESSION AUTHORIZATION lead nowhere.

-- Each by itself: with a login that somebody else made, only some may be ours to grant.
DO $do$
BEGIN
    BEGIN
        EXECUTE format('GRANT CREATE, CONNECT, TEMPORARY ON DATABASE %I TO {developer}',
                       current_database());
    EXCEPTION WHEN invalid_grant_operation OR insufficient_privilege THEN
        RAISE WARNING 'The developer has no rights on the database: %', sqlerrm;
    END;
    BEGIN
        EXECUTE format('GRANT {developer} TO %I', current_user);
    EXCEPTION WHEN invalid_grant_operation OR insufficient_privilege THEN
        IF NOT pg_has_role(current_user, {developer_literal}, 'MEMBER') THEN
            RAISE EXCEPTION USING
                message = 'The developer''s login is not ours to use: ' || sqlerrm,
                hint = format('As a superuser: GRANT %I TO %I;', {developer_literal}, current_user);
        END IF;
    END;
END $do$;

-- In `storage` and `realtime` there are the functions that policies and triggers call.
GRANT USAGE ON SCHEMA auth, extensions, storage, realtime TO {developer};
-- For keys that point at accounts and organizations: enough to refer to one, not to read any.
GRANT REFERENCES (id) ON auth.users, auth.organizations TO {developer};

-- What the developer makes is open to the service key, as what the tables API makes is.
ALTER DEFAULT PRIVILEGES FOR ROLE {developer} GRANT ALL ON TABLES TO service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE {developer} GRANT ALL ON SEQUENCES TO service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE {developer} GRANT EXECUTE ON ROUTINES TO service_role;
-- To nobody else: a function is as closed as a table, until somebody opens it.
ALTER DEFAULT PRIVILEGES FOR ROLE {developer} REVOKE EXECUTE ON ROUTINES FROM PUBLIC;

-- Everything in customers' schemas that is ours by name only becomes the developer's.
CREATE OR REPLACE FUNCTION undercroft.hand_over(new_owner name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT format('SCHEMA %I', n.nspname) AS what
          FROM pg_namespace n
         WHERE undercroft.is_exposed(n.nspname) AND n.nspowner = current_user::regrole
         UNION ALL
        SELECT format('%s %I.%I',
                      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                                     WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE'
                                     ELSE 'TABLE' END, n.nspname, c.relname)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE undercroft.is_exposed(n.nspname) AND c.relowner = current_user::regrole
           AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                            AND d.objid = c.oid AND d.deptype IN ('e', 'a', 'i'))
         UNION ALL
        SELECT format('ROUTINE %s', p.oid::regprocedure)
          FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE undercroft.is_exposed(n.nspname) AND p.proowner = current_user::regrole
           AND p.prokind <> 'a'
           -- A definer's rights are its owner's: whoever made it decides.
           AND NOT p.prosecdef
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass
                            AND d.objid = p.oid AND d.deptype = 'e')
         UNION ALL
        SELECT format('%s %I.%I', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
                      n.nspname, t.typname)
          FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
          LEFT JOIN pg_class c ON c.oid = t.typrelid
         WHERE undercroft.is_exposed(n.nspname) AND t.typowner = current_user::regrole
           AND (t.typtype IN ('d', 'e', 'r') OR c.relkind = 'c')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass
                            AND d.objid = t.oid AND d.deptype = 'e')
    LOOP
        BEGIN
            EXECUTE format('ALTER %s OWNER TO %I', held.what, new_owner);
        EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN
            RAISE WARNING '% keeps its owner until the next upgrade: %', held.what, sqlerrm;
        END;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION undercroft.hand_over(name) FROM PUBLIC;

GRANT ALL ON SCHEMA public TO {developer};
DO $do$ BEGIN PERFORM undercroft.hand_over({developer_literal}); END $do$;

-- DDL of the control plane that may run customers' code (defaults, checks, USING): in here nothing
-- can become the control plane again, since a definer's function allows neither SET nor RESET ROLE.
-- Deferred triggers must not wait for a commit outside. Settings that the code made for the session
-- would outlive it, above all a search path on which its own operators come before Postgres'. The
-- owner has no way to this schema, so it cannot change the function.
DROP FUNCTION IF EXISTS undercroft.as_developer(text);
CREATE OR REPLACE FUNCTION undercroft.as_developer(statement text, path text, longest_wait text)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM pg_catalog.set_config('lock_timeout', longest_wait, true),
            pg_catalog.set_config('search_path', path, true);
    EXECUTE statement;
    SET CONSTRAINTS ALL IMMEDIATE;
    RESET ALL;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
END $$;
REVOKE ALL ON FUNCTION undercroft.as_developer(text, text, text) FROM PUBLIC;
GRANT CREATE ON SCHEMA undercroft TO {developer};
ALTER FUNCTION undercroft.as_developer(text, text, text) OWNER TO {developer};
REVOKE ALL ON SCHEMA undercroft FROM {developer};
