"""Sites, their users, violations, and what is to be removed after them."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE sites.sites (
        id uuid CONSTRAINT pk_sites PRIMARY KEY,
        organization_id uuid NOT NULL CONSTRAINT fk_sites_organization_id_organizations
            REFERENCES auth.organizations (id) ON DELETE CASCADE,
        name varchar(80) NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT uq_sites_organization_id_name UNIQUE (organization_id, name),
        CONSTRAINT uq_sites_id_organization_id UNIQUE (id, organization_id)
    )
    """,
    "CREATE INDEX ix_sites_name_id ON sites.sites (name, id)",
    """
    CREATE TABLE sites.site_users (
        site_id uuid NOT NULL,
        user_id uuid NOT NULL,
        organization_id uuid NOT NULL,
        added_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_site_users PRIMARY KEY (site_id, user_id),
        CONSTRAINT fk_site_users_site_id_organization_id_sites
            FOREIGN KEY (site_id, organization_id)
            REFERENCES sites.sites (id, organization_id) ON DELETE CASCADE,
        CONSTRAINT fk_site_users_organization_id_user_id_memberships
            FOREIGN KEY (organization_id, user_id)
            REFERENCES auth.memberships (organization_id, user_id) ON DELETE CASCADE
    )
    """,
    (
        "CREATE INDEX ix_site_users_organization_id_user_id"
        " ON sites.site_users (organization_id, user_id)"
    ),
    "CREATE INDEX ix_site_users_user_id ON sites.site_users (user_id)",
    """
    CREATE TABLE sites.violations (
        id uuid CONSTRAINT pk_violations PRIMARY KEY,
        site_id uuid NOT NULL CONSTRAINT fk_violations_site_id_sites
            REFERENCES sites.sites (id) ON DELETE CASCADE,
        stream_name varchar(80) NOT NULL,
        detected_at timestamptz NOT NULL,
        detections jsonb NOT NULL,
        warnings jsonb NOT NULL,
        cone_polygon jsonb NOT NULL,
        pole_polygon jsonb NOT NULL,
        image varchar(255),
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    (
        "CREATE INDEX ix_violations_site_id_detected_at_id"
        " ON sites.violations (site_id, detected_at, id)"
    ),
    """
    CREATE TABLE sites.leftovers (
        id integer GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_leftovers PRIMARY KEY,
        kind varchar(16) NOT NULL,
        name varchar(255) NOT NULL
    )
    """,
    """
    CREATE FUNCTION sites.note_leftover() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        IF TG_TABLE_NAME = 'sites' THEN
            INSERT INTO sites.leftovers (kind, name) VALUES ('frames', OLD.name);
        ELSIF OLD.image IS NOT NULL THEN
            INSERT INTO sites.leftovers (kind, name) VALUES ('image', OLD.image);
        END IF;
        RETURN NULL;
    END $$
    """,
    (
        "CREATE TRIGGER note_leftover AFTER DELETE ON sites.sites"
        " FOR EACH ROW EXECUTE FUNCTION sites.note_leftover()"
    ),
    (
        "CREATE TRIGGER note_old_name AFTER UPDATE OF name ON sites.sites"
        " FOR EACH ROW WHEN (OLD.name <> NEW.name) EXECUTE FUNCTION sites.note_leftover()"
    ),
    (
        "CREATE TRIGGER note_leftover AFTER DELETE ON sites.violations"
        " FOR EACH ROW EXECUTE FUNCTION sites.note_leftover()"
    ),
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE sites.leftovers, sites.violations, sites.site_users, sites.sites")
    op.execute("DROP FUNCTION sites.note_leftover()")
