-- One for every command keeps its reading half; those for writing alone are dropped.
SELECT format('%I.%I %I', n.nspname, c.relname, p.polname) AS object,
       format('The policy lets API roles %s every row.',
              CASE p.polcmd WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
                            WHEN 'd' THEN 'delete' ELSE 'write' END) AS sentence,
       format('DROP POLICY %I ON %I.%I;', p.polname, n.nspname, c.relname)
           || CASE WHEN p.polcmd = '*' AND said.using = 'true' THEN
                  format(' CREATE POLICY %I ON %I.%I FOR SELECT TO %s USING (true);',
                         p.polname, n.nspname, c.relname,
                         CASE WHEN 0 = ANY (p.polroles) THEN 'PUBLIC' ELSE (
                             SELECT string_agg(quote_ident(r.rolname), ', ')
                               FROM pg_roles r WHERE r.oid = ANY (p.polroles)) END)
              ELSE '' END AS fix
  FROM pg_policy p
  JOIN pg_class c ON c.oid = p.polrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (
     SELECT pg_get_expr(p.polqual, p.polrelid) AS using,
            pg_get_expr(p.polwithcheck, p.polrelid) AS checked) AS said
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND p.polpermissive AND p.polcmd <> 'r'
   AND (0 = ANY (p.polroles)
        OR p.polroles && ARRAY['anon'::regrole::oid, 'authenticated'::regrole::oid])
   AND CASE WHEN p.polcmd IN ('a', '*', 'w') THEN coalesce(said.checked, said.using) = 'true'
            ELSE said.using = 'true' END
 ORDER BY 1
