SELECT format('%I.%I %I', n.nspname, c.relname, a.attname) AS object,
       format('%s of %s numbers are used up.', q.last_value,
              CASE t.typname WHEN 'int2' THEN 32767 ELSE 2147483647 END) AS sentence,
       format('ALTER TABLE %I.%I ALTER COLUMN %I TYPE bigint;', n.nspname, c.relname, a.attname)
           || CASE WHEN d.deptype = 'a'
                   THEN format(' ALTER SEQUENCE %I.%I AS bigint;', q.schemaname, q.sequencename)
                   ELSE '' END AS fix
  FROM pg_depend d
  JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  JOIN pg_namespace sn ON sn.oid = s.relnamespace
  JOIN pg_sequences q ON q.schemaname = sn.nspname AND q.sequencename = s.relname
  JOIN pg_class c ON c.oid = d.refobjid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
  JOIN pg_type t ON t.oid = a.atttypid
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND d.deptype IN ('a', 'i') AND t.typname IN ('int2', 'int4')
   AND q.last_value > 0.75 * CASE t.typname WHEN 'int2' THEN 32767 ELSE 2147483647 END
 ORDER BY 1
