SELECT format('%I.%I', n.nspname, c.relname) AS object,
       format('%s may use it and row security is off, so that every row is open.',
              string_agg(api.role, ', ' ORDER BY api.role)) AS sentence,
       format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY;', n.nspname, c.relname) AS fix
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest(ARRAY['anon', 'authenticated']) AS api (role)
    ON has_schema_privilege(api.role, n.oid, 'USAGE')
   AND (has_any_column_privilege(api.role, c.oid, 'SELECT, INSERT, UPDATE')
        OR has_table_privilege(api.role, c.oid, 'DELETE, TRUNCATE'))
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
 GROUP BY n.nspname, c.relname
 ORDER BY 1
