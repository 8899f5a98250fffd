SELECT format('%I.%I', n.nspname, c.relname) AS object,
       'It has no policy, so that only the service key sees its rows.' AS sentence,
       format('CREATE POLICY "service only" ON %I.%I TO service_role USING (true);',
              n.nspname, c.relname) AS fix
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relrowsecurity
   AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)
 ORDER BY 1
