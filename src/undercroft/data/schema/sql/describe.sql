-- Everything in the schemas :schemas that a client or a diagram needs, as one JSON object. Types are
-- numbers in `types`, with what each is made of.
WITH wanted AS (
    SELECT n.oid, n.nspname FROM pg_namespace n
     WHERE n.nspname = ANY (CAST(:schemas AS text[])) AND undercroft.is_exposed(n.nspname)
),
relation AS (
    SELECT c.oid, w.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relrowsecurity,
           c.reltuples, c.reltype,
           CASE WHEN c.relkind IN ('r', 'p') THEN 28
                WHEN c.relkind IN ('v', 'f') THEN pg_relation_is_updatable(c.oid, true)
                ELSE 0 END AS writable
      FROM pg_class c JOIN wanted w ON w.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND NOT c.relispartition
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
)
SELECT jsonb_build_object(
    'relations', coalesce((SELECT jsonb_agg(jsonb_build_object(
        'schema', r.schema, 'name', r.name, 'kind', r.kind, 'row_type', r.reltype::bigint,
        'row_security', r.relrowsecurity, 'row_estimate', r.reltuples::bigint,
        'insertable', r.writable & 8 <> 0, 'updatable', r.writable & 4 <> 0,
        'description', obj_description(r.oid, 'pg_class'),
        'primary_key', coalesce((
            SELECT jsonb_agg(a.attname ORDER BY part.place)
              FROM pg_constraint k
             CROSS JOIN LATERAL unnest(k.conkey) WITH ORDINALITY AS part (number, place)
              JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = part.number
             WHERE k.conrelid = r.oid AND k.contype = 'p'), '[]'),
        'foreign_keys', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'name', k.conname, 'schema', fn.nspname, 'table', f.relname,
                'columns', (SELECT jsonb_agg(a.attname ORDER BY part.place)
                    FROM unnest(k.conkey) WITH ORDINALITY AS part (number, place)
                    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = part.number),
                'references', (SELECT jsonb_agg(a.attname ORDER BY part.place)
                    FROM unnest(k.confkey) WITH ORDINALITY AS part (number, place)
                    JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = part.number),
                'one_to_one', EXISTS (SELECT FROM pg_constraint u
                    WHERE u.conrelid = k.conrelid AND u.contype IN ('p', 'u')
                      AND u.conkey <@ k.conkey)) ORDER BY k.conname)
              FROM pg_constraint k
              JOIN pg_class f ON f.oid = k.confrelid
              JOIN pg_namespace fn ON fn.oid = f.relnamespace
             WHERE k.conrelid = r.oid AND k.contype = 'f' AND k.conparentid = 0), '[]'),
        'columns', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'name', a.attname, 'type', a.atttypid::bigint,
                'type_text', format_type(a.atttypid, a.atttypmod),
                'nullable', NOT (a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)),
                'default', CASE WHEN a.attgenerated = '' THEN
                    pg_get_expr(d.adbin, d.adrelid) END,
                'has_default', d.oid IS NOT NULL OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
                'always', a.attidentity = 'a' OR a.attgenerated <> '',
                'description', col_description(r.oid, a.attnum)) ORDER BY a.attnum)
              FROM pg_attribute a
              JOIN pg_type t ON t.oid = a.atttypid
              LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]')
        ) ORDER BY r.schema, r.name) FROM relation r), '[]'),
    'functions', coalesce((SELECT jsonb_agg(jsonb_build_object(
        'schema', w.nspname, 'name', f.proname, 'returns', f.prorettype::bigint,
        'returns_text', pg_get_function_result(f.oid), 'set', f.proretset,
        'arguments_text', pg_get_function_arguments(f.oid),
        'volatility', f.provolatile, 'security_definer', f.prosecdef,
        'description', obj_description(f.oid, 'pg_proc'),
        'arguments', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'name', coalesce(item.name, ''), 'type', item.type::bigint, 'mode', item.mode,
                'has_default', item.mode IN ('i', 'b', 'v') AND item.inputs
                    > f.pronargs - f.pronargdefaults) ORDER BY item.place)
              FROM (
                  SELECT p.place, p.type, f.proargnames[p.place] AS name,
                         coalesce(f.proargmodes[p.place], 'i') AS mode,
                         count(*) FILTER (
                             WHERE coalesce(f.proargmodes[p.place], 'i') IN ('i', 'b', 'v'))
                             OVER (ORDER BY p.place) AS inputs
                    FROM unnest(coalesce(f.proallargtypes, f.proargtypes::oid[]))
                         WITH ORDINALITY AS p (type, place)) AS item), '[]')
        ) ORDER BY w.nspname, f.proname, f.oid)
        FROM pg_proc f JOIN wanted w ON w.oid = f.pronamespace
       WHERE f.prokind = 'f' AND f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = f.oid AND d.deptype = 'e')), '[]'),
    'enums', coalesce((SELECT jsonb_agg(jsonb_build_object(
        'schema', w.nspname, 'name', t.typname, 'description', obj_description(t.oid, 'pg_type'),
        'values', coalesce((SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder)
                              FROM pg_enum e WHERE e.enumtypid = t.oid), '[]'))
        ORDER BY w.nspname, t.typname)
        FROM pg_type t JOIN wanted w ON w.oid = t.typnamespace WHERE t.typtype = 'e'), '[]'),
    'types', (SELECT jsonb_object_agg(t.oid::text, jsonb_build_object(
        'schema', n.nspname, 'name', t.typname, 'kind', t.typtype,
        'element', CASE WHEN t.typcategory = 'A' THEN t.typelem::bigint ELSE 0 END,
        'base', t.typbasetype::bigint,
        'relation', coalesce(c.relname, ''),
        'relation_kind', coalesce(c.relkind::text, ''),
        'values', CASE WHEN t.typtype = 'e' THEN (
            SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder)
              FROM pg_enum e WHERE e.enumtypid = t.oid) END))
        FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
        LEFT JOIN pg_class c ON c.oid = t.typrelid
       WHERE t.typtype <> 'c' OR undercroft.is_exposed(n.nspname))
) AS description
