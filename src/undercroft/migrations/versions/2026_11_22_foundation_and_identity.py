"""Roles and policy functions, accounts, sessions, keys, groups, idempotency keys."""

from alembic import op

from undercroft.foundation.db.scripts import run_script
from undercroft.foundation.jobs import jobs_ddl

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Roles belong to the cluster, so another database may have made them already.
ROLES = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'anon') THEN
        CREATE ROLE anon NOLOGIN NOINHERIT;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticated') THEN
        CREATE ROLE authenticated NOLOGIN NOINHERIT;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'service_role') THEN
        CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    IF current_setting('server_version_num')::int < 160000 THEN
        RAISE insufficient_privilege USING MESSAGE =
            'Before PostgreSQL 16 only a superuser may make a role that passes row security. '
            'As one: CREATE ROLE service_role NOLOGIN NOINHERIT BYPASSRLS;';
    END IF;
    RAISE;
END $$;
"""

# The names and meanings are Supabase's, so that policies written for it run unchanged.
POLICY_FUNCTIONS = """
CREATE SCHEMA IF NOT EXISTS auth;
CREATE SCHEMA IF NOT EXISTS extensions;
GRANT USAGE ON SCHEMA auth, extensions TO anon, authenticated, service_role;

CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
$$;
CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
$$;
CREATE FUNCTION auth.email() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'email'
$$;
COMMENT ON FUNCTION auth.uid() IS
    'The signed-in user''s id. Policies write (select auth.uid()): evaluated once a statement.';
"""

IDENTITY = """
CREATE TABLE auth.users (
    id uuid CONSTRAINT pk_users PRIMARY KEY,
    email varchar(320) CONSTRAINT uq_users_email UNIQUE,
    phone varchar(16) CONSTRAINT uq_users_phone UNIQUE,
    username varchar(64) CONSTRAINT uq_users_username UNIQUE,
    password_hash varchar(255),
    status varchar(16) NOT NULL DEFAULT 'unverified',
    email_verified_at timestamptz,
    phone_verified_at timestamptz,
    first_name varchar(100),
    last_name varchar(100),
    language varchar(8) NOT NULL DEFAULT 'en',
    app_metadata jsonb NOT NULL DEFAULT '{}',
    user_metadata jsonb NOT NULL DEFAULT '{}',
    last_sign_in_at timestamptz,
    deleted_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_users_status CHECK (
        status IN ('active', 'unverified', 'suspended', 'deactivated', 'deleted')),
    CONSTRAINT ck_users_identifier CHECK (
        status = 'deleted' OR num_nonnulls(email, phone, username) > 0)
);
CREATE INDEX ix_users_created_at_id ON auth.users (created_at, id);

CREATE TABLE auth.sessions (
    id uuid CONSTRAINT pk_sessions PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT fk_sessions_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason varchar(32),
    amr jsonb NOT NULL,
    aal varchar(8) NOT NULL DEFAULT 'aal1',
    origin varchar(255),
    address varchar(45),
    user_agent varchar(500),
    device_name varchar(100),
    device_type varchar(32),
    browser varchar(64),
    os varchar(64)
);
CREATE INDEX ix_sessions_user_id_open ON auth.sessions (user_id) WHERE ended_at IS NULL;
CREATE INDEX ix_sessions_expires_at ON auth.sessions (expires_at);

CREATE TABLE auth.refresh_tokens (
    token_hash bytea CONSTRAINT pk_refresh_tokens PRIMARY KEY,
    session_id uuid NOT NULL CONSTRAINT fk_refresh_tokens_session_id_sessions
        REFERENCES auth.sessions (id) ON DELETE CASCADE,
    issued_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz
);
CREATE INDEX ix_refresh_tokens_session_id ON auth.refresh_tokens (session_id);

CREATE TABLE auth.sign_in_failures (
    key bytea CONSTRAINT pk_sign_in_failures PRIMARY KEY,
    failures integer NOT NULL,
    last_failed_at timestamptz NOT NULL DEFAULT now(),
    locked_until timestamptz
);
CREATE INDEX ix_sign_in_failures_last_failed_at ON auth.sign_in_failures (last_failed_at);

CREATE TABLE auth.signing_keys (
    kid varchar(64) CONSTRAINT pk_signing_keys PRIMARY KEY,
    algorithm varchar(8) NOT NULL,
    sealed_key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);

CREATE TABLE auth.api_keys (
    id uuid CONSTRAINT pk_api_keys PRIMARY KEY,
    name varchar(100) NOT NULL,
    role varchar(63) NOT NULL,
    sealed_token bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE auth.groups (
    id uuid CONSTRAINT pk_groups PRIMARY KEY,
    codename varchar(100) NOT NULL CONSTRAINT uq_groups_codename UNIQUE,
    name varchar(100) NOT NULL CONSTRAINT uq_groups_name UNIQUE,
    description varchar(1000),
    is_system boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE auth.group_permissions (
    group_id uuid NOT NULL CONSTRAINT fk_group_permissions_group_id_groups
        REFERENCES auth.groups (id) ON DELETE CASCADE,
    permission varchar(100) NOT NULL,
    CONSTRAINT pk_group_permissions PRIMARY KEY (group_id, permission)
);
CREATE TABLE auth.user_groups (
    user_id uuid NOT NULL CONSTRAINT fk_user_groups_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    group_id uuid NOT NULL CONSTRAINT fk_user_groups_group_id_groups
        REFERENCES auth.groups (id) ON DELETE CASCADE,
    assigned_at timestamptz NOT NULL DEFAULT now(),
    assigned_by uuid CONSTRAINT fk_user_groups_assigned_by_users
        REFERENCES auth.users (id) ON DELETE SET NULL,
    CONSTRAINT pk_user_groups PRIMARY KEY (user_id, group_id)
);
CREATE INDEX ix_user_groups_group_id ON auth.user_groups (group_id);
CREATE INDEX ix_user_groups_assigned_by ON auth.user_groups (assigned_by);
"""

FOUNDATION = """
CREATE TABLE undercroft.idempotency_keys (
    scope bytea CONSTRAINT pk_idempotency_keys PRIMARY KEY,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamptz NOT NULL DEFAULT now() + interval '24 hours'
);
CREATE INDEX ix_idempotency_keys_expires_at ON undercroft.idempotency_keys (expires_at);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for script in (ROLES, POLICY_FUNCTIONS, IDENTITY, FOUNDATION, jobs_ddl()):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    # Customers' tables reference auth.users: dropping it would take their keys along.
    raise RuntimeError("The first migration cannot be undone; restore a dump instead.")
