"""Stream configurations."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("""
        CREATE TABLE streams.streams (
            id uuid CONSTRAINT pk_streams PRIMARY KEY,
            site_id uuid NOT NULL CONSTRAINT fk_streams_site_id_sites
                REFERENCES sites.sites (id) ON DELETE CASCADE,
            name varchar(80) NOT NULL,
            video_url_sealed bytea NOT NULL,
            model_key varchar(80) NOT NULL,
            detect_with_server boolean NOT NULL,
            store_in_redis boolean NOT NULL,
            work_start_hour smallint NOT NULL,
            work_end_hour smallint NOT NULL,
            detect_no_safety_vest_or_helmet boolean NOT NULL,
            detect_near_machinery_or_vehicle boolean NOT NULL,
            detect_in_restricted_area boolean NOT NULL,
            detect_in_utility_pole_restricted_area boolean NOT NULL,
            detect_machinery_close_to_pole boolean NOT NULL,
            expires_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT uq_streams_site_id_name UNIQUE (site_id, name),
            CONSTRAINT ck_streams_hours CHECK (
                work_start_hour BETWEEN 0 AND 24 AND work_end_hour BETWEEN 0 AND 24)
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE streams.streams")
