"""Permissions, keys with scopes, organizations, feature flags, profiles."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0003_rights"
down_revision = "0002_sign_in"
branch_labels = None
depends_on = None

PERMISSIONS = """
CREATE TABLE auth.permissions (
    id uuid CONSTRAINT pk_permissions PRIMARY KEY,
    codename varchar(100) NOT NULL CONSTRAINT uq_permissions_codename UNIQUE,
    name varchar(100) NOT NULL,
    description varchar(1000),
    category varchar(50) NOT NULL,
    is_system boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_permissions_category_codename ON auth.permissions (category, codename);
INSERT INTO auth.permissions (id, codename, name, category)
    SELECT gen_random_uuid(), permission, permission, 'custom'
      FROM (SELECT DISTINCT permission FROM auth.group_permissions) AS granted;
ALTER TABLE auth.group_permissions
    ADD CONSTRAINT fk_group_permissions_permission_permissions FOREIGN KEY (permission)
    REFERENCES auth.permissions (codename) ON DELETE CASCADE ON UPDATE CASCADE;
CREATE INDEX ix_group_permissions_permission ON auth.group_permissions (permission);
"""

ORGANIZATIONS = """
CREATE TABLE auth.organizations (
    id uuid CONSTRAINT pk_organizations PRIMARY KEY,
    name varchar(255) NOT NULL,
    slug varchar(63) NOT NULL CONSTRAINT uq_organizations_slug UNIQUE,
    description varchar(1000),
    is_active boolean NOT NULL DEFAULT true,
    uniform_number varchar(8) CONSTRAINT uq_organizations_uniform_number UNIQUE,
    max_allowed_streams integer NOT NULL DEFAULT 8,
    max_members integer,
    settings jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_organizations_slug CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    CONSTRAINT ck_organizations_uniform_number CHECK (uniform_number ~ '^[0-9]{8}$'),
    CONSTRAINT ck_organizations_limits CHECK (max_allowed_streams >= 0 AND max_members >= 1)
);
CREATE INDEX ix_organizations_created_at_id ON auth.organizations (created_at, id);

CREATE TABLE auth.memberships (
    organization_id uuid NOT NULL CONSTRAINT fk_memberships_organization_id_organizations
        REFERENCES auth.organizations (id) ON DELETE CASCADE,
    user_id uuid NOT NULL CONSTRAINT fk_memberships_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    role varchar(16) NOT NULL,
    joined_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_memberships PRIMARY KEY (organization_id, user_id),
    CONSTRAINT ck_memberships_role CHECK (role IN ('owner', 'admin', 'member', 'guest'))
);
CREATE INDEX ix_memberships_user_id ON auth.memberships (user_id);
CREATE INDEX ix_memberships_organization_id_joined_at
    ON auth.memberships (organization_id, joined_at, user_id);

CREATE TABLE auth.invitations (
    id uuid CONSTRAINT pk_invitations PRIMARY KEY,
    organization_id uuid NOT NULL CONSTRAINT fk_invitations_organization_id_organizations
        REFERENCES auth.organizations (id) ON DELETE CASCADE,
    email varchar(320) NOT NULL,
    role varchar(16) NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT uq_invitations_token_hash UNIQUE,
    invited_by uuid CONSTRAINT fk_invitations_invited_by_users
        REFERENCES auth.users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT ck_invitations_role CHECK (role IN ('owner', 'admin', 'member', 'guest'))
);
CREATE UNIQUE INDEX uq_invitations_open ON auth.invitations (organization_id, email)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX ix_invitations_invited_by ON auth.invitations (invited_by);
CREATE INDEX ix_invitations_email ON auth.invitations (email);
"""

API_KEYS = """
ALTER TABLE auth.api_keys
    ALTER COLUMN sealed_token DROP NOT NULL,
    ADD COLUMN token_hash bytea CONSTRAINT uq_api_keys_token_hash UNIQUE,
    ADD COLUMN prefix varchar(16),
    ADD COLUMN created_by uuid CONSTRAINT fk_api_keys_created_by_users
        REFERENCES auth.users (id) ON DELETE SET NULL,
    ADD COLUMN organization_id uuid CONSTRAINT fk_api_keys_organization_id_organizations
        REFERENCES auth.organizations (id) ON DELETE CASCADE,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN last_used_at timestamptz,
    ADD CONSTRAINT ck_api_keys_one_token CHECK (num_nonnulls(sealed_token, token_hash) = 1);
CREATE INDEX ix_api_keys_created_by ON auth.api_keys (created_by);
CREATE INDEX ix_api_keys_organization_id ON auth.api_keys (organization_id);

CREATE TABLE auth.api_key_permissions (
    api_key_id uuid NOT NULL CONSTRAINT fk_api_key_permissions_api_key_id_api_keys
        REFERENCES auth.api_keys (id) ON DELETE CASCADE,
    permission varchar(100) NOT NULL CONSTRAINT fk_api_key_permissions_permission_permissions
        REFERENCES auth.permissions (codename) ON DELETE CASCADE ON UPDATE CASCADE,
    CONSTRAINT pk_api_key_permissions PRIMARY KEY (api_key_id, permission)
);
CREATE INDEX ix_api_key_permissions_permission ON auth.api_key_permissions (permission);
"""

FEATURES = """
CREATE TABLE auth.features (
    id uuid CONSTRAINT pk_features PRIMARY KEY,
    name varchar(100) NOT NULL CONSTRAINT uq_features_name UNIQUE,
    description varchar(1000),
    is_active boolean NOT NULL DEFAULT true,
    percentage smallint NOT NULL DEFAULT 0,
    starts_at timestamptz,
    ends_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_features_percentage CHECK (percentage BETWEEN 0 AND 100),
    CONSTRAINT ck_features_schedule CHECK (starts_at < ends_at)
);
CREATE TABLE auth.feature_organizations (
    feature_id uuid NOT NULL CONSTRAINT fk_feature_organizations_feature_id_features
        REFERENCES auth.features (id) ON DELETE CASCADE,
    organization_id uuid NOT NULL
        CONSTRAINT fk_feature_organizations_organization_id_organizations
        REFERENCES auth.organizations (id) ON DELETE CASCADE,
    CONSTRAINT pk_feature_organizations PRIMARY KEY (feature_id, organization_id)
);
CREATE INDEX ix_feature_organizations_organization_id
    ON auth.feature_organizations (organization_id);
CREATE TABLE auth.feature_groups (
    feature_id uuid NOT NULL CONSTRAINT fk_feature_groups_feature_id_features
        REFERENCES auth.features (id) ON DELETE CASCADE,
    group_id uuid NOT NULL CONSTRAINT fk_feature_groups_group_id_groups
        REFERENCES auth.groups (id) ON DELETE CASCADE,
    CONSTRAINT pk_feature_groups PRIMARY KEY (feature_id, group_id)
);
CREATE INDEX ix_feature_groups_group_id ON auth.feature_groups (group_id);
CREATE TABLE auth.feature_users (
    feature_id uuid NOT NULL CONSTRAINT fk_feature_users_feature_id_features
        REFERENCES auth.features (id) ON DELETE CASCADE,
    user_id uuid NOT NULL CONSTRAINT fk_feature_users_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    CONSTRAINT pk_feature_users PRIMARY KEY (feature_id, user_id)
);
CREATE INDEX ix_feature_users_user_id ON auth.feature_users (user_id);
"""

PROFILES = """
ALTER TABLE auth.users
    ADD COLUMN middle_name varchar(100),
    ADD COLUMN display_name varchar(100),
    ADD COLUMN country varchar(2),
    ADD COLUMN gender varchar(16),
    ADD COLUMN birth_date date,
    ADD COLUMN bio varchar(2000),
    ADD COLUMN picture_url varchar(2048),
    ADD COLUMN timezone varchar(64) NOT NULL DEFAULT 'UTC',
    ADD COLUMN theme varchar(16) NOT NULL DEFAULT 'light',
    ADD COLUMN profile_accessibility varchar(16) NOT NULL DEFAULT 'public',
    ADD COLUMN user_type varchar(16) NOT NULL DEFAULT 'customer',
    ADD COLUMN auth_type varchar(16),
    ADD COLUMN erased_at timestamptz,
    ADD CONSTRAINT ck_users_gender CHECK (gender IN ('male', 'female', 'other')),
    ADD CONSTRAINT ck_users_theme CHECK (theme IN ('light', 'dark', 'dynamic')),
    ADD CONSTRAINT ck_users_profile_accessibility
        CHECK (profile_accessibility IN ('public', 'private')),
    ADD CONSTRAINT ck_users_user_type CHECK (user_type IN ('admin', 'customer', 'business'));
CREATE INDEX ix_users_to_erase ON auth.users (deleted_at)
    WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
UPDATE auth.users SET deleted_at = updated_at WHERE status = 'deleted' AND deleted_at IS NULL;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for script in (PERMISSIONS, ORGANIZATIONS, API_KEYS, FEATURES, PROFILES):
        run_script(op.get_bind(), script)


UNDO = """
DROP FUNCTION IF EXISTS auth.has(text), auth.orgs(), auth.org_role(uuid), auth.feature(text),
    auth.holds(uuid, text), auth.features_of(uuid, uuid), auth.api_key(),
    auth.organizations_of(uuid, uuid);
ALTER TABLE auth.users
    DROP COLUMN middle_name, DROP COLUMN display_name, DROP COLUMN country, DROP COLUMN gender,
    DROP COLUMN birth_date, DROP COLUMN bio, DROP COLUMN picture_url, DROP COLUMN timezone,
    DROP COLUMN theme, DROP COLUMN profile_accessibility, DROP COLUMN user_type,
    DROP COLUMN auth_type, DROP COLUMN erased_at;
DROP FUNCTION IF EXISTS auth.feature_is_on(auth.features, uuid, uuid);
DROP TABLE auth.feature_users, auth.feature_groups, auth.feature_organizations, auth.features;
DELETE FROM auth.api_keys WHERE sealed_token IS NULL;
DROP TABLE auth.api_key_permissions;
ALTER TABLE auth.api_keys
    DROP COLUMN token_hash, DROP COLUMN prefix, DROP COLUMN created_by,
    DROP COLUMN organization_id, DROP COLUMN expires_at, DROP COLUMN last_used_at,
    ALTER COLUMN sealed_token SET NOT NULL;
DROP TABLE auth.invitations, auth.memberships, auth.organizations;
ALTER TABLE auth.group_permissions
    DROP CONSTRAINT fk_group_permissions_permission_permissions;
DROP INDEX auth.ix_group_permissions_permission;
DROP TABLE auth.permissions;
"""


def downgrade() -> None:
    # Policies that use the functions keep them from being dropped: the error names the policy.
    run_script(op.get_bind(), UNDO)
