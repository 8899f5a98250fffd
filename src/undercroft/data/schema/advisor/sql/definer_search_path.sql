SELECT format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)) AS object,
       'It runs as its owner and finds names on its caller''s search path.' AS sentence,
       format('ALTER %s %I.%I(%s) SET search_path = pg_catalog, %I, pg_temp;',
              CASE f.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, n.nspname, f.proname,
              pg_get_function_identity_arguments(f.oid), n.nspname) AS fix
  FROM pg_proc f
  JOIN pg_namespace n ON n.oid = f.pronamespace
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND f.prosecdef AND f.prokind IN ('f', 'p')
   AND NOT coalesce(array_to_string(f.proconfig, ' ') LIKE '%search_path=%', false)
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = f.oid AND d.deptype = 'e')
 ORDER BY 1
