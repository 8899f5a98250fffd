"""Files of accounts."""

from alembic import op

from undercroft.foundation.db.scripts import run_script

revision = "0013_media"
down_revision = "0012_definitions"
branch_labels = None
depends_on = None

MEDIA = """
CREATE TABLE storage.media (
    id uuid CONSTRAINT pk_media PRIMARY KEY,
    owner_id uuid NOT NULL CONSTRAINT fk_media_owner_id_users
        REFERENCES auth.users (id) ON DELETE CASCADE,
    state varchar(16) NOT NULL
        CONSTRAINT ck_media_state CHECK (state IN ('pending', 'stored', 'failed')),
    name varchar(255),
    object_name varchar(255),
    content_type varchar(255),
    size_bytes bigint,
    is_public boolean NOT NULL,
    source_url varchar(2048),
    error varchar(64),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_media_complete CHECK (
        state <> 'stored' OR num_nulls(object_name, size_bytes, content_type) = 0)
);
CREATE INDEX ix_media_owner_id_created_at_id ON storage.media (owner_id, created_at, id);
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    run_script(op.get_bind(), MEDIA)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DROP TABLE storage.media")
