SELECT format('%I.%I', n.nspname, c.relname) AS object,
       format('%s may read all of it; a materialised view has no row security.',
              string_agg(api.role, ', ' ORDER BY api.role)) AS sentence,
       format('REVOKE ALL ON %I.%I FROM PUBLIC, anon, authenticated;',
              n.nspname, c.relname) AS fix
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest(ARRAY['anon', 'authenticated']) AS api (role)
    ON has_schema_privilege(api.role, n.oid, 'USAGE')
   AND has_any_column_privilege(api.role, c.oid, 'SELECT')
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND c.relkind = 'm'
 GROUP BY n.nspname, c.relname
 ORDER BY 1
