-- The columns of every primary and foreign key by number, to follow them through views.
-- kind: p primary key, f referencing side, r referenced side.
select json_build_object(
    'relation', side.relation::bigint,
    'schema', namespace.nspname,
    'table', class.relname,
    'constraint', key.conname,
    'kind', side.kind,
    'columns', (
        select json_agg(json_build_array(attribute.attnum, attribute.attname) order by position)
        from unnest(side.numbers) with ordinality as item (number, position)
        join pg_attribute as attribute
            on attribute.attrelid = side.relation and attribute.attnum = item.number
    )
)::text
from pg_constraint as key
cross join lateral (
    values
        (key.conrelid, key.conkey, case key.contype when 'p' then 'p' else 'f' end),
        (key.confrelid, key.confkey, 'r')
) as side (relation, numbers, kind)
join pg_class as class on class.oid = side.relation
join pg_namespace as namespace on namespace.oid = class.relnamespace
where key.contype in ('p', 'f')
    and side.numbers is not null
    and key.conparentid = 0
    and namespace.nspname not in ('pg_catalog', 'information_schema')
