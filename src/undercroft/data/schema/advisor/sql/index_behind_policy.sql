-- Under row security Postgres looks a condition of the caller's up in an index only where the
-- comparison is marked leakproof. Those of integers, text, uuid and times are, those of numeric,
-- enums, jsonb and full text are not. A column in the policy itself does not suffer.
SELECT format('%I.%I', n.nspname, c.relname) AS object,
       format('Row security keeps callers'' filters on %I (%s) from using it.', a.attname,
              format_type(a.atttypid, NULL)) AS sentence,
       'ALTER FUNCTION ' || string_agg(p.oid::regprocedure::text, ' LEAKPROOF; ALTER FUNCTION '
              ORDER BY p.oid::regprocedure::text) || ' LEAKPROOF; -- by a superuser' AS fix
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class t ON t.oid = i.indrelid AND t.relrowsecurity
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND a.attnum > 0
  JOIN pg_opclass o ON o.oid = i.indclass[0]
  JOIN pg_amop m ON m.amopfamily = o.opcfamily AND m.amoppurpose = 's'
                AND m.amoplefttype = o.opcintype
                AND (m.amoprighttype = o.opcintype OR c.relam <> (
                     SELECT oid FROM pg_am WHERE amname = 'btree'))
  JOIN pg_operator x ON x.oid = m.amopopr
  JOIN pg_proc p ON p.oid = x.oprcode AND NOT p.proleakproof
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND i.indisvalid
   AND EXISTS (SELECT FROM pg_policy y
                WHERE y.polrelid = t.oid AND y.polcmd IN ('r', '*')
                  AND pg_get_expr(y.polqual, y.polrelid) <> 'true')
   AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_policy y ON y.oid = d.objid
                    WHERE d.classid = 'pg_policy'::regclass AND d.refobjid = t.oid
                      AND d.refobjsubid = a.attnum)
 GROUP BY n.nspname, c.relname, a.attname, a.atttypid
 ORDER BY 1
