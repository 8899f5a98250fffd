"""Buckets, files and the bytes behind them."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0007_storage"
down_revision = "0006_realtime"
branch_labels = None
depends_on = None

TABLES = """
CREATE SCHEMA storage;
CREATE TABLE storage.buckets (
    id text CONSTRAINT pk_buckets PRIMARY KEY,
    name text NOT NULL CONSTRAINT uq_buckets_name UNIQUE,
    owner uuid,
    owner_id text,
    public boolean NOT NULL DEFAULT false,
    file_size_limit bigint,
    allowed_mime_types text[],
    type text NOT NULL DEFAULT 'STANDARD',
    organization_id uuid CONSTRAINT fk_buckets_organization_id_organizations
        REFERENCES auth.organizations (id) ON DELETE CASCADE,
    links_version integer NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_buckets_id_is_name CHECK (id = name)
);
CREATE INDEX ix_buckets_organization_id ON storage.buckets (organization_id);

CREATE TABLE storage.blobs (
    id uuid CONSTRAINT pk_blobs PRIMARY KEY,
    size_bytes bigint,
    content_type text,
    parts jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    sweep_after timestamptz,
    removing boolean NOT NULL DEFAULT false
);
CREATE INDEX ix_blobs_sweep_after ON storage.blobs (sweep_after) WHERE sweep_after IS NOT NULL;

CREATE TABLE storage.objects (
    id uuid NOT NULL DEFAULT gen_random_uuid() CONSTRAINT pk_objects PRIMARY KEY,
    bucket_id text NOT NULL CONSTRAINT fk_objects_bucket_id_buckets
        REFERENCES storage.buckets (id) ON DELETE CASCADE ON UPDATE CASCADE,
    name text COLLATE "C" NOT NULL,
    owner uuid,
    owner_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_accessed_at timestamptz NOT NULL DEFAULT now(),
    metadata jsonb,
    user_metadata jsonb,
    path_tokens text[] GENERATED ALWAYS AS (string_to_array(name, '/')) STORED,
    blob_id uuid CONSTRAINT fk_objects_blob_id_blobs REFERENCES storage.blobs (id),
    version text GENERATED ALWAYS AS (blob_id::text) STORED,
    organization_id uuid,
    links_version integer NOT NULL DEFAULT 1,
    CONSTRAINT uq_objects_bucket_id_name UNIQUE (bucket_id, name)
);
CREATE INDEX ix_objects_blob_id ON storage.objects (blob_id);
CREATE INDEX ix_objects_organization_id ON storage.objects (organization_id);

CREATE TABLE storage.uploads (
    id uuid CONSTRAINT pk_uploads PRIMARY KEY,
    bucket_id text NOT NULL CONSTRAINT fk_uploads_bucket_id_buckets
        REFERENCES storage.buckets (id) ON DELETE CASCADE ON UPDATE CASCADE,
    name text COLLATE "C" NOT NULL,
    caller varchar(64) NOT NULL,
    upsert boolean NOT NULL,
    length_bytes bigint NOT NULL,
    offset_bytes bigint NOT NULL DEFAULT 0,
    content_type text,
    cache_control text NOT NULL,
    user_metadata jsonb,
    blob_id uuid NOT NULL,
    parts jsonb NOT NULL DEFAULT '[]',
    organization_id uuid,
    lease uuid,
    leased_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ix_uploads_expires_at ON storage.uploads (expires_at);
CREATE INDEX ix_uploads_organization_id ON storage.uploads (organization_id);

CREATE TABLE storage.usage (
    organization_id uuid CONSTRAINT pk_usage PRIMARY KEY
        CONSTRAINT fk_usage_organization_id_organizations
        REFERENCES auth.organizations (id) ON DELETE CASCADE,
    used_bytes bigint NOT NULL DEFAULT 0,
    files bigint NOT NULL DEFAULT 0,
    max_bytes bigint
);
"""

# Row security decides and nothing is open. What ties a row to bytes, organizations and links is
# not theirs to write: whoever could set blob_id would read any file.
RIGHTS = """
ALTER TABLE storage.buckets ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.blobs ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.uploads ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.usage ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA storage TO anon, authenticated, service_role;
GRANT SELECT, DELETE ON storage.buckets, storage.objects TO anon, authenticated, service_role;
GRANT INSERT (id, name, owner, owner_id, public, file_size_limit, allowed_mime_types, type,
              organization_id),
      UPDATE (public, file_size_limit, allowed_mime_types, updated_at)
   ON storage.buckets TO anon, authenticated, service_role;
GRANT INSERT (id, bucket_id, name, owner, owner_id, metadata, user_metadata),
      UPDATE (bucket_id, name, owner, owner_id, metadata, user_metadata, updated_at,
              last_accessed_at)
   ON storage.objects TO anon, authenticated, service_role;

-- Buckets of the wings themselves stay theirs, however wide somebody's policy is.
CREATE POLICY "system buckets are closed" ON storage.buckets AS RESTRICTIVE
    TO anon, authenticated USING (id NOT LIKE '\\_%');
CREATE POLICY "system buckets are closed" ON storage.objects AS RESTRICTIVE
    TO anon, authenticated USING (bucket_id NOT LIKE '\\_%');
"""

# Requests run in one transaction as their caller and, for the bytes, as the owner of the tables.
ROLES = """
DO $$
DECLARE
    wanted text;
    options text := '';
    kind text := 'MEMBER';
BEGIN
    IF current_setting('server_version_num')::int >= 160000 THEN
        options := ' WITH SET TRUE, INHERIT FALSE';
        kind := 'SET';
    END IF;
    FOREACH wanted IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        IF NOT pg_has_role(current_user, wanted, kind) THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user) || options;
        END IF;
    END LOOP;
END $$;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for script in (TABLES, RIGHTS, ROLES):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP SCHEMA storage CASCADE")
