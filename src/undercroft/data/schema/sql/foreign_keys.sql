-- Foreign keys of every schema: a view in an exposed schema may rest on hidden tables.
-- One-to-one when the columns are a primary key or unique constraint of their table.
select json_build_object(
    'schema', own_schema.nspname,
    'table', own.relname,
    'foreign_schema', other_schema.nspname,
    'foreign_table', other.relname,
    'is_self', key.conrelid = key.confrelid,
    'constraint', key.conname,
    'columns', (
        select json_agg(json_build_array(own_column.attname, other_column.attname) order by pair.position)
        from unnest(key.conkey, key.confkey) with ordinality as pair (own, other, position)
        join pg_attribute as own_column
            on own_column.attrelid = key.conrelid and own_column.attnum = pair.own
        join pg_attribute as other_column
            on other_column.attrelid = key.confrelid and other_column.attnum = pair.other
    ),
    'one_to_one', exists (
        select from pg_constraint as unique_key
        where unique_key.conrelid = key.conrelid
            and unique_key.contype in ('p', 'u')
            and unique_key.conkey @> key.conkey
            and unique_key.conkey <@ key.conkey
    )
)::text
from pg_constraint as key
join pg_class as own on own.oid = key.conrelid
join pg_namespace as own_schema on own_schema.oid = own.relnamespace
join pg_class as other on other.oid = key.confrelid
join pg_namespace as other_schema on other_schema.oid = other.relnamespace
where key.contype = 'f' and key.conparentid = 0
order by key.conrelid, key.conname
