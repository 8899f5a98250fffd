"""The data platform on Postgres: tables and policies, the SQL console, rows as an API."""
