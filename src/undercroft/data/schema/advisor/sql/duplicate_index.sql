-- The one that enforces a constraint stays, else the older.
SELECT format('%I.%I', n.nspname, c.relname) AS object,
       format('It is the same as %I.', kept.relname) AS sentence,
       format('DROP INDEX %I.%I;', n.nspname, c.relname) AS fix
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN LATERAL (
      SELECT k.relname
        FROM pg_index o JOIN pg_class k ON k.oid = o.indexrelid
       WHERE o.indrelid = i.indrelid AND o.indexrelid <> i.indexrelid
         AND k.relam = c.relam AND o.indkey = i.indkey AND o.indclass = i.indclass
         AND o.indcollation = i.indcollation AND o.indoption = i.indoption
         AND o.indnkeyatts = i.indnkeyatts AND o.indisvalid
         AND pg_get_expr(o.indexprs, o.indrelid) IS NOT DISTINCT FROM
             pg_get_expr(i.indexprs, i.indrelid)
         AND pg_get_expr(o.indpred, o.indrelid) IS NOT DISTINCT FROM
             pg_get_expr(i.indpred, i.indrelid)
         AND (o.indisunique OR NOT i.indisunique)
         AND ((o.indisunique AND NOT i.indisunique) OR o.indexrelid < i.indexrelid
              OR EXISTS (SELECT FROM pg_constraint x WHERE x.conindid = o.indexrelid))
       ORDER BY o.indexrelid LIMIT 1) AS kept ON true
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND NOT EXISTS (SELECT FROM pg_constraint x WHERE x.conindid = i.indexrelid)
 ORDER BY 1
