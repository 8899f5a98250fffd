-- Statements about files as their callers, one set of functions for each role of the API and owned by
-- it. Policies call functions of customers, and this is the control plane's session: inside a
-- definer's function neither SET ROLE nor RESET ROLE leads back to it. What such a function sets for
-- the session, above all a search path, is undone before the control plane's next statement.
DO $do$
DECLARE
    role text;
    ours text := quote_ident(current_user);
    before text := current_setting('role');
BEGIN
    GRANT CREATE, USAGE ON SCHEMA undercroft TO anon, authenticated, service_role;
    FOREACH role IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        EXECUTE replace(replace($script$
            DROP FUNCTION IF EXISTS undercroft.act_as_{role}(text, text, text[]);
            DROP FUNCTION IF EXISTS undercroft.count_as_{role}(text, text, text[]);
            DROP FUNCTION IF EXISTS undercroft.sees_file_as_{role}(text, uuid);
            DROP FUNCTION IF EXISTS undercroft.write_file_as_{role}(
                text, text, text, boolean, uuid, text, jsonb, jsonb);
            DROP FUNCTION IF EXISTS undercroft.write_file_as_{role}(
                text, uuid, text, text, boolean, uuid, text, jsonb, jsonb);
            DROP FUNCTION IF EXISTS undercroft.write_file_as_{role}(
                text, uuid, text, text, boolean, uuid, text, jsonb, jsonb, uuid);

            -- The rows of a statement. `template` is one of ours for format(), `parts` its values.
            CREATE FUNCTION undercroft.act_as_{role}(claims text, template text, parts text[])
            RETURNS SETOF record LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN
                PERFORM pg_catalog.set_config('request.jwt.claims', claims, true);
                RETURN QUERY EXECUTE pg_catalog.format(template, VARIADIC parts);
                RESET ALL;
                PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            END $$;

            -- How many rows a statement met that returns none.
            CREATE FUNCTION undercroft.count_as_{role}(claims text, template text, parts text[])
            RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
            DECLARE
                met bigint;
            BEGIN
                PERFORM pg_catalog.set_config('request.jwt.claims', claims, true);
                EXECUTE pg_catalog.format(template, VARIADIC parts);
                GET DIAGNOSTICS met = ROW_COUNT;
                RESET ALL;
                PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
                RETURN met;
            END $$;

            CREATE FUNCTION undercroft.sees_file_as_{role}(claims text, file uuid)
            RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
            DECLARE
                seen boolean;
            BEGIN
                PERFORM pg_catalog.set_config('request.jwt.claims', claims, true);
                seen := EXISTS (SELECT FROM storage.objects o WHERE o.id = file);
                RESET ALL;
                PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
                RETURN seen;
            END $$;

            -- Without RETURNING, so that it takes no right to read.
            CREATE FUNCTION undercroft.write_file_as_{role}(
                claims text, new_id uuid, bucket text, file text, upsert boolean, in_owner uuid,
                in_owner_id text, in_metadata jsonb, in_user_metadata jsonb, in_blob uuid)
            RETURNS void
            LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN
                PERFORM pg_catalog.set_config('request.jwt.claims', claims, true);
                IF upsert THEN
                    INSERT INTO storage.objects AS o
                                (id, bucket_id, name, owner, owner_id, metadata, user_metadata,
                                 blob_id)
                         VALUES (new_id, bucket, file, in_owner, in_owner_id, in_metadata,
                                 in_user_metadata, in_blob)
                    ON CONFLICT (bucket_id, name) DO UPDATE
                        SET owner = excluded.owner, owner_id = excluded.owner_id,
                            metadata = excluded.metadata, user_metadata = excluded.user_metadata,
                            blob_id = coalesce(excluded.blob_id, o.blob_id);
                ELSE
                    INSERT INTO storage.objects
                                (id, bucket_id, name, owner, owner_id, metadata, user_metadata,
                                 blob_id)
                         VALUES (new_id, bucket, file, in_owner, in_owner_id, in_metadata,
                                 in_user_metadata, in_blob);
                END IF;
                RESET ALL;
                PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
            END $$;

            ALTER FUNCTION undercroft.act_as_{role}(text, text, text[]) OWNER TO {role};
            ALTER FUNCTION undercroft.count_as_{role}(text, text, text[]) OWNER TO {role};
            ALTER FUNCTION undercroft.sees_file_as_{role}(text, uuid) OWNER TO {role};
            ALTER FUNCTION undercroft.write_file_as_{role}(
                text, uuid, text, text, boolean, uuid, text, jsonb, jsonb, uuid) OWNER TO {role};
            -- For us alone: the logins of the rows API know their way into this schema too.
            SET LOCAL ROLE {role};
            REVOKE ALL ON FUNCTION undercroft.act_as_{role}, undercroft.count_as_{role},
                undercroft.sees_file_as_{role}, undercroft.write_file_as_{role} FROM PUBLIC;
            GRANT EXECUTE ON FUNCTION undercroft.act_as_{role}, undercroft.count_as_{role},
                undercroft.sees_file_as_{role}, undercroft.write_file_as_{role} TO {ours};
        $script$, '{role}', role), '{ours}', ours);
        PERFORM set_config('role', before, true);
    END LOOP;
    REVOKE CREATE, USAGE ON SCHEMA undercroft FROM anon, authenticated, service_role;
END $do$;
