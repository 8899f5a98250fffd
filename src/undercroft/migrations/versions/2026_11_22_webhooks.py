"""Webhooks, their events, deliveries and attempts."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0008_webhooks"
down_revision = "0007_storage"
branch_labels = None
depends_on = None

WEBHOOKS = """
CREATE SCHEMA webhooks;
CREATE TABLE webhooks.webhooks (
    id uuid CONSTRAINT pk_webhooks PRIMARY KEY,
    name varchar(100) NOT NULL,
    url varchar(2048) NOT NULL,
    organization_id uuid CONSTRAINT fk_webhooks_organization_id_organizations
        REFERENCES auth.organizations (id) ON DELETE CASCADE,
    events varchar(100)[] NOT NULL DEFAULT '{}',
    changes jsonb NOT NULL DEFAULT '[]',
    sealed_secret bytea NOT NULL,
    sealed_previous bytea,
    previous_until timestamptz,
    is_enabled boolean NOT NULL DEFAULT true,
    disabled_reason varchar(32),
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    paused_until timestamptz,
    created_by uuid CONSTRAINT fk_webhooks_created_by_users
        REFERENCES auth.users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_webhooks_previous CHECK (num_nulls(sealed_previous, previous_until) <> 1)
);
CREATE INDEX ix_webhooks_created_at_id ON webhooks.webhooks (created_at, id);
CREATE INDEX ix_webhooks_organization_id ON webhooks.webhooks (organization_id);
CREATE INDEX ix_webhooks_created_by ON webhooks.webhooks (created_by);

CREATE TABLE webhooks.events (
    id uuid CONSTRAINT pk_events PRIMARY KEY,
    type varchar(100) NOT NULL,
    organization_id uuid,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ix_events_created_at_id ON webhooks.events (created_at, id);

CREATE TABLE webhooks.deliveries (
    id uuid CONSTRAINT pk_deliveries PRIMARY KEY,
    webhook_id uuid NOT NULL,
    event_id uuid NOT NULL,
    event_type varchar(100) NOT NULL,
    state varchar(16) NOT NULL DEFAULT 'pending' CONSTRAINT ck_deliveries_state CHECK (
        state IN ('pending', 'delivered', 'dead', 'skipped')),
    attempts integer NOT NULL DEFAULT 0,
    tries_left integer NOT NULL,
    next_attempt_at timestamptz DEFAULT now(),
    claimed_until timestamptz,
    status integer,
    duration_ms integer,
    error varchar(32),
    created_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT uq_deliveries_webhook_id_event_id UNIQUE (webhook_id, event_id)
);
CREATE INDEX ix_deliveries_due ON webhooks.deliveries (webhook_id, next_attempt_at)
    WHERE state = 'pending';
CREATE INDEX ix_deliveries_webhook_id_created_at_id
    ON webhooks.deliveries (webhook_id, created_at, id);
CREATE INDEX ix_deliveries_created_at ON webhooks.deliveries (created_at);
CREATE INDEX ix_deliveries_event_id ON webhooks.deliveries (event_id);

CREATE TABLE webhooks.attempts (
    delivery_id uuid NOT NULL CONSTRAINT fk_attempts_delivery_id_deliveries
        REFERENCES webhooks.deliveries (id) ON DELETE CASCADE,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    status integer,
    duration_ms integer NOT NULL,
    error varchar(32),
    response varchar(2048),
    CONSTRAINT pk_attempts PRIMARY KEY (delivery_id, number)
);

CREATE TABLE webhooks.pump (
    one boolean NOT NULL DEFAULT true CONSTRAINT pk_pump PRIMARY KEY
        CONSTRAINT ck_pump_one CHECK (one),
    holder uuid,
    held_until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO webhooks.pump DEFAULT VALUES;
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), WEBHOOKS)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP SCHEMA webhooks CASCADE")
