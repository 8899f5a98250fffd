"""Authors, movies, series, searched by trigrams where the server has them."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    """
    CREATE TABLE catalog.authors (
        id uuid CONSTRAINT pk_authors PRIMARY KEY,
        name varchar(100) NOT NULL,
        age integer NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT ck_authors_age CHECK (age BETWEEN 6 AND 130)
    )
    """,
    "CREATE INDEX ix_authors_name_id ON catalog.authors (name, id)",
    """
    CREATE TABLE catalog.movies (
        id uuid CONSTRAINT pk_movies PRIMARY KEY,
        title varchar(200) NOT NULL,
        year_of_issue integer NOT NULL,
        description varchar(4000),
        genre varchar(50) NOT NULL,
        author_id uuid NOT NULL CONSTRAINT fk_movies_author_id_authors
            REFERENCES catalog.authors (id),
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX ix_movies_title_id ON catalog.movies (title, id)",
    "CREATE INDEX ix_movies_year_of_issue_id ON catalog.movies (year_of_issue, id)",
    "CREATE INDEX ix_movies_genre ON catalog.movies (genre)",
    "CREATE INDEX ix_movies_author_id ON catalog.movies (author_id)",
    """
    CREATE TABLE catalog.series (
        id uuid CONSTRAINT pk_series PRIMARY KEY,
        title varchar(200) NOT NULL,
        year_of_issue integer,
        episodes integer NOT NULL,
        seasons integer NOT NULL,
        description varchar(4000),
        genre varchar(50) NOT NULL,
        author_id uuid NOT NULL CONSTRAINT fk_series_author_id_authors
            REFERENCES catalog.authors (id),
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT ck_series_size CHECK (episodes >= 1 AND seasons >= 1)
    )
    """,
    "CREATE INDEX ix_series_title_id ON catalog.series (title, id)",
    "CREATE INDEX ix_series_genre ON catalog.series (genre)",
    "CREATE INDEX ix_series_author_id ON catalog.series (author_id)",
)

# A managed server may not offer the extension, or not to us: then search finds parts of words
# only, and says so in /health.
TRIGRAMS = """
DO $do$
DECLARE
    place text;
    indexed record;
BEGIN
    BEGIN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
    EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
        NULL;
    END;
    SELECT nspname INTO place FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
     WHERE extname = 'pg_trgm';
    IF place IS NULL THEN
        RAISE NOTICE 'pg_trgm is not available: the catalogue is searched by parts of words';
        RETURN;
    END IF;
    FOR indexed IN VALUES ('authors', 'name'), ('movies', 'title'), ('series', 'title') LOOP
        EXECUTE format(
            'CREATE INDEX %I ON catalog.%I USING gin (%I %I.gin_trgm_ops)',
            'ix_' || indexed.column1 || '_' || indexed.column2 || '_trigrams',
            indexed.column1, indexed.column2, place
        );
    END LOOP;
END $do$
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in (*TABLES, TRIGRAMS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE catalog.series, catalog.movies, catalog.authors")
