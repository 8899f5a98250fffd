-- Column grants take the place of the table's, which leaves out the secrets.
WITH secret AS (
    SELECT c.oid, n.nspname, c.relname, a.attnum, a.attname, api.role
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type t ON t.oid = a.atttypid
      JOIN unnest(ARRAY['anon', 'authenticated']) AS api (role)
        ON has_schema_privilege(api.role, n.oid, 'USAGE')
       AND has_column_privilege(api.role, c.oid, a.attnum, 'SELECT')
     WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
       AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
       AND t.typname IN ('text', 'varchar', 'bpchar', 'citext', 'bytea', 'json', 'jsonb', 'uuid')
       AND a.attname ~* ('(^|_)(passw(or)?d|passwd|passphrase|password_hash|hashed_password|secret'
                         || '|secret_key|client_secret|api_?key|access_?key|private_?key|token'
                         || '|access_token|refresh_token|otp|totp|pin_code|cvv|card_number|iban|ssn'
                         || '|recovery_codes?)$')
)
SELECT format('%I.%I %I', s.nspname, s.relname, s.attname) AS object,
       format('%s may read it, and its name says that it holds a secret.',
              string_agg(s.role, ', ' ORDER BY s.role)) AS sentence,
       format('REVOKE SELECT ON %1$I.%2$I FROM PUBLIC, anon, authenticated;',
              s.nspname, s.relname)
           || coalesce(format(' GRANT SELECT (%s) ON %I.%I TO %s;',
                  (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                     FROM pg_attribute a
                    WHERE a.attrelid = s.oid AND a.attnum > 0 AND NOT a.attisdropped
                      AND a.attnum NOT IN (SELECT x.attnum FROM secret x WHERE x.oid = s.oid)),
                  s.nspname, s.relname, string_agg(s.role, ', ' ORDER BY s.role)), '') AS fix
  FROM secret s
 GROUP BY s.oid, s.nspname, s.relname, s.attname
 ORDER BY 1
