-- An index helps when the key's columns come first in it, in any order.
SELECT format('%I.%I %I', n.nspname, c.relname, k.conname) AS object,
       format('Deleting from %s, and joining to it, reads the whole table.',
              k.confrelid::regclass) AS sentence,
       format('CREATE INDEX ON %I.%I (%s);', n.nspname, c.relname, (
           SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY part.place)
             FROM unnest(k.conkey) WITH ORDINALITY AS part (number, place)
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = part.number)) AS fix
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND k.contype = 'f' AND k.conparentid = 0
   AND NOT EXISTS (
       SELECT FROM pg_index i
        WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
          AND (i.indkey::smallint[])[0:cardinality(k.conkey) - 1] @> k.conkey)
 ORDER BY 1
