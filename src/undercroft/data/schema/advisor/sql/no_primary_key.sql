SELECT format('%I.%I', n.nspname, c.relname) AS object,
       'Its rows cannot be named: no upsert, no grid, no replication of changes.' AS sentence,
       format('ALTER TABLE %I.%I ADD COLUMN %I bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;',
              n.nspname, c.relname,
              CASE WHEN EXISTS (SELECT FROM pg_attribute a
                                 WHERE a.attrelid = c.oid AND a.attname = 'id'
                                   AND NOT a.attisdropped) THEN 'row_id' ELSE 'id' END) AS fix
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND c.relkind IN ('r', 'p') AND NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p')
 ORDER BY 1
