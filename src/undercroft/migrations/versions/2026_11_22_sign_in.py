"""Messages, one-time secrets, second factors, accounts elsewhere."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0002_sign_in"
down_revision = "0001"
branch_labels = None
depends_on = None

MESSAGES = """
CREATE SCHEMA notifications;
CREATE TABLE notifications.messages (
    id uuid CONSTRAINT pk_messages PRIMARY KEY,
    kind varchar(64) NOT NULL,
    channel varchar(16) NOT NULL
        CONSTRAINT ck_messages_channel CHECK (channel IN ('email', 'sms', 'whatsapp')),
    recipient varchar(320) NOT NULL,
    language varchar(8) NOT NULL,
    sealed_values bytea,
    state varchar(16) NOT NULL DEFAULT 'queued' CONSTRAINT ck_messages_state CHECK (
        state IN ('queued', 'sending', 'sent', 'failed', 'local')),
    attempts integer NOT NULL DEFAULT 0,
    provider_id varchar(255),
    error varchar(255),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    claimed_at timestamptz,
    sent_at timestamptz
);
CREATE INDEX ix_messages_created_at_id ON notifications.messages (created_at, id);
"""

ONE_TIME_SECRETS = """
CREATE TABLE auth.one_time_secrets (
    id uuid CONSTRAINT pk_one_time_secrets PRIMARY KEY,
    purpose varchar(32) NOT NULL CONSTRAINT ck_one_time_secrets_purpose CHECK (
        purpose IN ('sign_in', 'sign_up', 'password_reset', 'verify_contact', 'change_contact')),
    identifier varchar(320) NOT NULL,
    channel varchar(16) NOT NULL
        CONSTRAINT ck_one_time_secrets_channel CHECK (channel IN ('email', 'sms', 'whatsapp')),
    form varchar(8) NOT NULL
        CONSTRAINT ck_one_time_secrets_form CHECK (form IN ('code', 'link')),
    language varchar(64),
    user_id uuid CONSTRAINT fk_one_time_secrets_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    recipient varchar(320),
    secret_hash bytea,
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    consumed_at timestamptz
);
CREATE INDEX ix_one_time_secrets_identifier_purpose
    ON auth.one_time_secrets (identifier, purpose, created_at);
CREATE INDEX ix_one_time_secrets_secret_hash ON auth.one_time_secrets (secret_hash);
CREATE INDEX ix_one_time_secrets_expires_at ON auth.one_time_secrets (expires_at);
CREATE INDEX ix_one_time_secrets_user_id ON auth.one_time_secrets (user_id);
"""

FACTORS = """
CREATE TABLE auth.factors (
    id uuid CONSTRAINT pk_factors PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT fk_factors_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    type varchar(16) NOT NULL CONSTRAINT ck_factors_type CHECK (type IN ('totp', 'passkey')),
    name varchar(100) NOT NULL,
    sealed_secret bytea,
    last_step bigint,
    credential_id bytea CONSTRAINT uq_factors_credential_id UNIQUE,
    public_key bytea,
    sign_count bigint,
    transports jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    confirmed_at timestamptz,
    last_used_at timestamptz,
    CONSTRAINT ck_factors_complete CHECK (
        CASE type WHEN 'totp' THEN sealed_secret IS NOT NULL
        ELSE num_nulls(credential_id, public_key, sign_count) = 0 END)
);
CREATE INDEX ix_factors_user_id ON auth.factors (user_id);

CREATE TABLE auth.recovery_codes (
    code_hash bytea CONSTRAINT pk_recovery_codes PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT fk_recovery_codes_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz
);
CREATE INDEX ix_recovery_codes_user_id ON auth.recovery_codes (user_id);

CREATE TABLE auth.passkey_challenges (
    id uuid CONSTRAINT pk_passkey_challenges PRIMARY KEY,
    ceremony varchar(16) NOT NULL CONSTRAINT ck_passkey_challenges_ceremony CHECK (
        ceremony IN ('register', 'sign_in', 'second_factor')),
    user_id uuid CONSTRAINT fk_passkey_challenges_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    challenge bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ix_passkey_challenges_expires_at ON auth.passkey_challenges (expires_at);
CREATE INDEX ix_passkey_challenges_user_id ON auth.passkey_challenges (user_id);
"""

PROVIDERS = """
CREATE TABLE auth.identities (
    id uuid CONSTRAINT pk_identities PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT fk_identities_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    provider varchar(64) NOT NULL,
    subject varchar(255) NOT NULL CONSTRAINT ck_identities_subject CHECK (subject <> ''),
    email varchar(320),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz,
    CONSTRAINT uq_identities_provider_subject UNIQUE (provider, subject)
);
CREATE INDEX ix_identities_user_id ON auth.identities (user_id);

CREATE TABLE auth.provider_flows (
    state_hash bytea CONSTRAINT pk_provider_flows PRIMARY KEY,
    browser_hash bytea NOT NULL,
    provider varchar(64) NOT NULL,
    sealed bytea NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ix_provider_flows_expires_at ON auth.provider_flows (expires_at);

CREATE TABLE auth.sign_in_grants (
    code_hash bytea CONSTRAINT pk_sign_in_grants PRIMARY KEY,
    user_id uuid NOT NULL CONSTRAINT fk_sign_in_grants_user_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    challenge varchar(128) NOT NULL,
    method varchar(80) NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ix_sign_in_grants_expires_at ON auth.sign_in_grants (expires_at);
CREATE INDEX ix_sign_in_grants_user_id ON auth.sign_in_grants (user_id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for script in (MESSAGES, ONE_TIME_SECRETS, FACTORS, PROVIDERS):
        run_script(op.get_bind(), script)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP SCHEMA notifications CASCADE")
    op.execute(
        "DROP TABLE auth.sign_in_grants, auth.provider_flows, auth.identities,"
        " auth.passkey_challenges, auth.recovery_codes, auth.factors, auth.one_time_secrets"
    )
