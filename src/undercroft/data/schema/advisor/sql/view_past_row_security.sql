SELECT format('%I.%I', n.nspname, c.relname) AS object,
       format('%s may read it, and it reads its tables as its owner, past their policies.',
              string_agg(api.role, ', ' ORDER BY api.role)) AS sentence,
       format('ALTER VIEW %I.%I SET (security_invoker = true);', n.nspname, c.relname) AS fix
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest(ARRAY['anon', 'authenticated']) AS api (role)
    ON has_schema_privilege(api.role, n.oid, 'USAGE')
   AND has_any_column_privilege(api.role, c.oid, 'SELECT')
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND c.relkind = 'v'
   AND NOT coalesce((SELECT option.option_value::boolean
                       FROM pg_options_to_table(c.reloptions) AS option
                      WHERE option.option_name = 'security_invoker'), false)
   AND EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
                      JOIN pg_class source ON source.oid = d.refobjid
                WHERE w.ev_class = c.oid AND d.classid = 'pg_rewrite'::regclass
                  AND d.refclassid = 'pg_class'::regclass AND source.oid <> c.oid)
 GROUP BY n.nspname, c.relname
 ORDER BY 1
