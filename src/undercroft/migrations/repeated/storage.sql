-- What policies may ask about a file's name, as Supabase names it.

CREATE OR REPLACE FUNCTION storage.foldername(name text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (string_to_array(name, '/'))[:cardinality(string_to_array(name, '/')) - 1]
$$;

CREATE OR REPLACE FUNCTION storage.filename(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (string_to_array(name, '/'))[cardinality(string_to_array(name, '/'))]
$$;

CREATE OR REPLACE FUNCTION storage.extension(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT reverse(split_part(reverse(storage.filename(name)), '.', 1))
$$;

-- Whether what wrote a version of a row is this transaction, savepoints included: what is seen and
-- still under way is one's own.
CREATE OR REPLACE FUNCTION undercroft.is_of_this_transaction(writer xid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ours bigint := pg_current_xact_id()::text::bigint;
    theirs bigint := (ours & ~4294967295) | writer::text::bigint;
BEGIN
    -- Savepoints count on from their transaction, over the end of 32 bits too.
    RETURN pg_xact_status((theirs + CASE WHEN theirs < ours THEN 4294967296 ELSE 0 END)::text::xid8)
           = 'in progress';
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;  -- of a transaction to come: it is one of long ago
END $$;

-- Rows follow their bucket, and say when they changed. Callers may name bytes only that came in with
-- this transaction, which nobody but us can bring about: they would read any file otherwise.
CREATE OR REPLACE FUNCTION undercroft.storage_before_object() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    writer xid;
BEGIN
    IF TG_NARGS > 0 AND NEW.blob_id IS DISTINCT FROM OLD.blob_id THEN
        writer := (SELECT b.xmin FROM storage.blobs b
                    WHERE b.id = NEW.blob_id AND b.sweep_after IS NULL);
        IF writer IS NULL OR (writer <> pg_current_xact_id()::xid
                              AND NOT undercroft.is_of_this_transaction(writer)) THEN
            RAISE EXCEPTION USING errcode = '42501', message = 'bytes of another file';
        END IF;
    END IF;
    IF TG_OP = 'INSERT' OR NEW.bucket_id IS DISTINCT FROM OLD.bucket_id THEN
        NEW.organization_id := (SELECT b.organization_id FROM storage.buckets b
                                 WHERE b.id = NEW.bucket_id);
    END IF;
    IF TG_OP = 'UPDATE' THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END $$;

-- Bytes that a row let go of are swept unless another row holds them; who uses how much follows.
CREATE OR REPLACE FUNCTION undercroft.storage_object_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF OLD.blob_id IS NOT NULL AND OLD.blob_id IS DISTINCT FROM NEW.blob_id THEN
        UPDATE storage.blobs SET sweep_after = now() WHERE id = OLD.blob_id;
    END IF;
    IF OLD.organization_id IS NOT NULL THEN
        PERFORM undercroft.storage_count(
            OLD.organization_id, -coalesce(b.size_bytes, 0), -1)
           FROM storage.blobs b WHERE b.id = OLD.blob_id;
    END IF;
    IF NEW.organization_id IS NOT NULL THEN
        PERFORM undercroft.storage_count(
            NEW.organization_id, coalesce(b.size_bytes, 0), 1)
           FROM storage.blobs b WHERE b.id = NEW.blob_id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION undercroft.storage_objects_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE storage.blobs b SET sweep_after = now() FROM gone WHERE b.id = gone.blob_id;
    PERFORM undercroft.storage_count(sums.organization_id, -sums.bytes, -sums.files)
       FROM (SELECT gone.organization_id, sum(coalesce(b.size_bytes, 0))::bigint AS bytes,
                    count(*) AS files
               FROM gone JOIN storage.blobs b ON b.id = gone.blob_id
              WHERE gone.organization_id IS NOT NULL
              GROUP BY gone.organization_id) AS sums;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION undercroft.storage_count(
    organization uuid, added_bytes bigint, added_files bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF organization IS NULL THEN
        RETURN;
    END IF;
    UPDATE storage.usage SET used_bytes = used_bytes + added_bytes, files = files + added_files
     WHERE organization_id = organization;
    IF NOT FOUND AND added_files > 0 THEN
        INSERT INTO storage.usage AS u (organization_id, used_bytes, files)
             VALUES (organization, added_bytes, added_files)
        ON CONFLICT (organization_id) DO UPDATE
            SET used_bytes = u.used_bytes + added_bytes, files = u.files + added_files;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION undercroft.storage_object_made() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM undercroft.storage_count(NEW.organization_id, coalesce(b.size_bytes, 0), 1)
       FROM storage.blobs b WHERE b.id = NEW.blob_id;
    RETURN NULL;
END $$;

-- The condition is looked at before the function becomes the owner.
DO $do$
BEGIN
    EXECUTE format($script$
        CREATE OR REPLACE TRIGGER before_object BEFORE INSERT OR UPDATE ON storage.objects
            FOR EACH ROW WHEN (current_user = %1$L)
            EXECUTE FUNCTION undercroft.storage_before_object();
        CREATE OR REPLACE TRIGGER before_object_of_callers BEFORE INSERT OR UPDATE ON storage.objects
            FOR EACH ROW WHEN (current_user <> %1$L)
            EXECUTE FUNCTION undercroft.storage_before_object('caller');
    $script$, current_user);
END $do$;
CREATE OR REPLACE TRIGGER object_made AFTER INSERT ON storage.objects
    FOR EACH ROW WHEN (NEW.blob_id IS NOT NULL AND NEW.organization_id IS NOT NULL)
    EXECUTE FUNCTION undercroft.storage_object_made();
GRANT INSERT (blob_id), UPDATE (blob_id) ON storage.objects TO anon, authenticated, service_role;
CREATE OR REPLACE TRIGGER object_changed AFTER UPDATE ON storage.objects
    FOR EACH ROW WHEN (OLD.blob_id IS DISTINCT FROM NEW.blob_id
                       OR OLD.organization_id IS DISTINCT FROM NEW.organization_id)
    EXECUTE FUNCTION undercroft.storage_object_changed();
DROP TRIGGER IF EXISTS objects_gone ON storage.objects;
CREATE TRIGGER objects_gone AFTER DELETE ON storage.objects
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION undercroft.storage_objects_gone();

DROP FUNCTION IF EXISTS undercroft.storage_enter(text, text);

-- Files with their bytes. For the control plane alone, which asks who may see them.
-- Copies share bytes, and may be said to be something else.
DROP VIEW IF EXISTS undercroft.storage_files;
CREATE VIEW undercroft.storage_files AS
    SELECT o.bucket_id, o.name, o.id AS object_id, f.id AS blob_id, f.size_bytes,
           coalesce(o.metadata ->> 'mimetype', f.content_type) AS content_type,
           f.parts, o.metadata ->> 'cacheControl' AS cache_control, o.created_at, o.updated_at,
           o.user_metadata, b.public, b.links_version || '.' || o.links_version AS links,
           o.metadata ->> 'contentEncoding' AS encoding
      FROM storage.objects o
      JOIN storage.buckets b ON b.id = o.bucket_id
      JOIN storage.blobs f ON f.id = o.blob_id;

-- One file, if the caller may see it.
DROP FUNCTION IF EXISTS undercroft.storage_find(text, text, text, text);
CREATE FUNCTION undercroft.storage_find(
    in_role text, in_claims text, in_bucket text, in_name text)
RETURNS TABLE (
    object_id uuid, blob_id uuid, size_bytes bigint, content_type text, parts jsonb,
    cache_control text, created_at timestamptz, updated_at timestamptz, user_metadata jsonb,
    public boolean, links text, encoding text)
LANGUAGE plpgsql AS $$
DECLARE
    seen boolean;
BEGIN
    SELECT found.object_id, found.blob_id, found.size_bytes, found.content_type, found.parts,
           found.cache_control, found.created_at, found.updated_at, found.user_metadata,
           found.public, found.links, found.encoding
      INTO object_id, blob_id, size_bytes, content_type, parts, cache_control, created_at,
           updated_at, user_metadata, public, links, encoding
      FROM undercroft.storage_files found
     WHERE found.bucket_id = in_bucket AND found.name = in_name;
    IF NOT FOUND OR (in_role IS NULL AND NOT public) THEN
        RETURN;
    END IF;
    IF NOT public AND in_role <> 'service_role' THEN
        IF in_role = 'authenticated' THEN
            seen := undercroft.sees_file_as_authenticated(in_claims, object_id);
        ELSE
            seen := undercroft.sees_file_as_anon(in_claims, object_id);
        END IF;
        IF NOT seen THEN
            RETURN;
        END IF;
    END IF;
    RETURN NEXT;
END $$;

-- Raise UCS13 when an organization keeps more than it may.
CREATE OR REPLACE FUNCTION undercroft.storage_check_quota(
    in_organization uuid, in_more bigint, in_default bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    used bigint;
    allowed bigint;
BEGIN
    IF in_organization IS NULL THEN
        RETURN;
    END IF;
    SELECT u.used_bytes, u.max_bytes INTO used, allowed
      FROM storage.usage u WHERE u.organization_id = in_organization;
    allowed := coalesce(allowed, in_default);
    IF coalesce(used, 0) + in_more > allowed THEN
        RAISE EXCEPTION USING errcode = 'UCS13', message = 'quota exceeded';
    END IF;
END $$;

-- Write a row as the caller: see storage_callers.sql.
DROP FUNCTION IF EXISTS undercroft.storage_write_row(text, text, text, text, boolean, uuid, text, jsonb, jsonb);
DROP FUNCTION IF EXISTS undercroft.storage_write_row(text, text, text, text, boolean, uuid, text, jsonb, jsonb, uuid);
CREATE OR REPLACE FUNCTION undercroft.storage_write_row(
    in_role text, in_claims text, in_bucket text, in_name text, in_upsert boolean, in_owner uuid,
    in_owner_id text, in_metadata jsonb, in_user_metadata jsonb, in_id uuid DEFAULT NULL,
    in_blob uuid DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    in_id := coalesce(in_id, gen_random_uuid());
    CASE in_role
        WHEN 'anon' THEN
            PERFORM undercroft.write_file_as_anon(
                in_claims, in_id, in_bucket, in_name, in_upsert, in_owner, in_owner_id,
                in_metadata, in_user_metadata, in_blob);
        WHEN 'authenticated' THEN
            PERFORM undercroft.write_file_as_authenticated(
                in_claims, in_id, in_bucket, in_name, in_upsert, in_owner, in_owner_id,
                in_metadata, in_user_metadata, in_blob);
        WHEN 'service_role' THEN
            PERFORM undercroft.write_file_as_service_role(
                in_claims, in_id, in_bucket, in_name, in_upsert, in_owner, in_owner_id,
                in_metadata, in_user_metadata, in_blob);
    END CASE;
END $$;

-- Before the bytes: may the caller do this, is there room, and a note of what is about to come.
DROP FUNCTION IF EXISTS undercroft.storage_begin(text, text, text, text, boolean, uuid, text, jsonb, jsonb, uuid, bigint, bigint, timestamptz);
CREATE FUNCTION undercroft.storage_begin(
    in_role text, in_claims text, in_bucket text, in_name text, in_upsert boolean, in_owner uuid,
    in_owner_id text, in_metadata jsonb, in_user_metadata jsonb, in_blob uuid,
    in_size bigint, in_default_quota bigint, in_sweep_after timestamptz,
    OUT file_size_limit bigint, OUT allowed_mime_types text[], OUT organization_id uuid)
LANGUAGE plpgsql AS $$
DECLARE
    more bigint;
BEGIN
    SELECT b.file_size_limit, b.allowed_mime_types, b.organization_id
      INTO file_size_limit, allowed_mime_types, organization_id
      FROM storage.buckets b WHERE b.id = in_bucket;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING errcode = 'UCS04', message = 'no such bucket';
    END IF;
    BEGIN
        PERFORM undercroft.storage_write_row(
            in_role, in_claims, in_bucket, in_name, in_upsert, in_owner, in_owner_id, in_metadata,
            in_user_metadata);
        RAISE EXCEPTION USING errcode = 'UCS00', message = 'tried';
    EXCEPTION WHEN sqlstate 'UCS00' THEN NULL;
    END;
    IF organization_id IS NOT NULL THEN
        -- What is replaced makes room.
        SELECT coalesce(in_size, 0) - coalesce(sum(found.size_bytes), 0) INTO more
          FROM undercroft.storage_files found
         WHERE in_upsert AND found.bucket_id = in_bucket AND found.name = in_name;
        PERFORM undercroft.storage_check_quota(organization_id, more, in_default_quota);
    END IF;
    -- Lost in a crash, the note is missed only until bytes and rows are next compared.
    PERFORM set_config('synchronous_commit', 'off', true);
    INSERT INTO storage.blobs (id, sweep_after) VALUES (in_blob, in_sweep_after);
END $$;

-- After the bytes: the caller's row and what it stands for, in one transaction. `in_id` is the id
-- that the row must have: UCS15 says that it has another. `in_limits` are the bucket's as the caller
-- of this knows them: UCS14 says that they are others by now.
DROP FUNCTION IF EXISTS undercroft.storage_link(text, text, text, text, boolean, uuid, text, jsonb, jsonb, uuid, bigint, text, jsonb, uuid, bigint, uuid, jsonb);
DROP FUNCTION IF EXISTS undercroft.storage_link(text, text, text, text, boolean, uuid, text, jsonb, jsonb, uuid, bigint, text, jsonb, uuid, bigint);
CREATE FUNCTION undercroft.storage_link(
    in_role text, in_claims text, in_bucket text, in_name text, in_upsert boolean, in_owner uuid,
    in_owner_id text, in_metadata jsonb, in_user_metadata jsonb, in_blob uuid,
    in_size bigint, in_content_type text, in_parts jsonb, in_organization uuid,
    in_default_quota bigint, in_id uuid DEFAULT NULL, in_limits jsonb DEFAULT NULL)
RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    made uuid;
    object uuid;
    organization uuid;
BEGIN
    IF in_limits IS NOT NULL AND in_limits IS DISTINCT FROM (
        SELECT jsonb_build_array(b.file_size_limit, b.allowed_mime_types)
          FROM storage.buckets b WHERE b.id = in_bucket) THEN
        RAISE EXCEPTION USING errcode = 'UCS14', message = 'other limits';
    END IF;
    UPDATE storage.blobs
       SET size_bytes = in_size, content_type = in_content_type, parts = in_parts,
           sweep_after = NULL
     WHERE id = in_blob AND NOT removing;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING errcode = 'UCS10', message = 'swept';
    END IF;
    -- As `storage_write_row` does; each function in between costs every upload ten microseconds.
    made := coalesce(in_id, gen_random_uuid());
    CASE in_role
        WHEN 'anon' THEN
            PERFORM undercroft.write_file_as_anon(
                in_claims, made, in_bucket, in_name, in_upsert, in_owner, in_owner_id,
                in_metadata, in_user_metadata, in_blob);
        WHEN 'authenticated' THEN
            PERFORM undercroft.write_file_as_authenticated(
                in_claims, made, in_bucket, in_name, in_upsert, in_owner, in_owner_id,
                in_metadata, in_user_metadata, in_blob);
        WHEN 'service_role' THEN
            PERFORM undercroft.write_file_as_service_role(
                in_claims, made, in_bucket, in_name, in_upsert, in_owner, in_owner_id,
                in_metadata, in_user_metadata, in_blob);
    END CASE;
    SELECT o.id, o.organization_id INTO object, organization FROM storage.objects o
     WHERE o.bucket_id = in_bucket AND o.name = in_name AND o.blob_id = in_blob;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING errcode = '42501', message = 'no such row came of it';
    END IF;
    IF object <> in_id THEN
        RAISE EXCEPTION USING errcode = 'UCS15', message = 'another id', detail = object;
    END IF;
    IF in_organization IS NOT NULL AND in_organization IS DISTINCT FROM organization THEN
        UPDATE storage.objects SET organization_id = in_organization WHERE id = object;
        organization := in_organization;
    END IF;
    IF organization IS NOT NULL THEN
        PERFORM undercroft.storage_check_quota(organization, 0, in_default_quota);
    END IF;
    RETURN object;
END $$;
