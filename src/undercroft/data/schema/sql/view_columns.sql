-- What each view selects, as PostgreSQL's parse tree, with the names needed to read it: views of
-- the exposed schemas and the extra search path ($1). The tree is read by `views.py`.
select
    view.oid::bigint as oid,
    namespace.nspname as schema,
    view.relname as name,
    rule.ev_action::text as tree,
    (
        select json_object_agg(attribute.attnum, attribute.attname)::text
        from pg_attribute as attribute
        where attribute.attrelid = view.oid and attribute.attnum > 0 and not attribute.attisdropped
    ) as columns
from pg_class as view
join pg_namespace as namespace on namespace.oid = view.relnamespace
join pg_rewrite as rule on rule.ev_class = view.oid and rule.rulename = '_RETURN'
where view.relkind in ('v', 'm') and namespace.nspname = any ($1::text[])
