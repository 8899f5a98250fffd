"""What a superuser prepares in a new cluster, once: our role, our database, extensions.

Undercroft itself then works as `undercroft`, which may do what the owner of a managed Postgres
may do and no more, so nothing comes to depend on a superuser.
"""

ROLE = "undercroft"
DATABASE = "undercroft"
EXTENSIONS = (
    "pg_trgm",
    "btree_gin",
    "btree_gist",
    "unaccent",
    "citext",
    "hstore",
    "pg_stat_statements",
    "vector",
)

# Run in `postgres`. CREATE DATABASE takes no IF NOT EXISTS, hence \gexec.
CLUSTER = rf"""
SELECT 'CREATE ROLE {ROLE}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') \gexec
ALTER ROLE {ROLE} LOGIN NOSUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS
    PASSWORD :'role_password';
GRANT pg_monitor, pg_signal_backend TO {ROLE};
SELECT 'CREATE DATABASE {DATABASE} OWNER {ROLE}'
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \gexec
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
"""  # noqa: S608 - constants of ours

# Run in our database, and in databases that tests make.
CONTENT = f"""
CREATE SCHEMA IF NOT EXISTS extensions AUTHORIZATION {ROLE};
GRANT USAGE ON SCHEMA extensions TO PUBLIC;
DO $$
DECLARE
    wanted text;
BEGIN
    FOR wanted IN
        SELECT name FROM pg_available_extensions WHERE name IN {EXTENSIONS}
    LOOP
        EXECUTE format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA extensions', wanted);
    END LOOP;
END
$$;
"""  # noqa: S608 - constants of ours
