SELECT format('%I.%I', n.nspname, c.relname) AS object,
       format('It takes %s and no query used it since statistics began.',
              pg_size_pretty(c.relpages::bigint * current_setting('block_size')::bigint))
           AS sentence,
       format('DROP INDEX %I.%I;', n.nspname, c.relname) AS fix
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_stat_user_indexes s ON s.indexrelid = i.indexrelid
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND NOT i.indisunique AND c.relkind = 'i' AND s.idx_scan = 0
   AND c.relpages::bigint * current_setting('block_size')::bigint >= 1024 * 1024
   AND NOT EXISTS (
       SELECT FROM pg_constraint k
        WHERE k.conrelid = i.indrelid AND k.contype = 'f'
          AND (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey)
 ORDER BY 1
