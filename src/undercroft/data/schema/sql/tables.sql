-- Relations of the exposed schemas ($1), one JSON row each. A partition is reached through its
-- parent. The bits of pg_relation_is_updatable are 4 update, 8 insert, 16 delete.
select json_build_object(
    'schema', namespace.nspname,
    'name', relation.relname,
    'description', obj_description(relation.oid, 'pg_class'),
    'is_view', relation.relkind in ('v', 'm'),
    'writable', case
        when relation.relkind in ('r', 'p') then 28
        when relation.relkind in ('v', 'f') then pg_relation_is_updatable(relation.oid, true)
        else 0
    end,
    'primary_key', coalesce((
        select json_agg(attribute.attname order by attribute.attname)
        from pg_constraint as key
        join pg_attribute as attribute
            on attribute.attrelid = key.conrelid and attribute.attnum = any (key.conkey)
        where key.conrelid = relation.oid and key.contype = 'p'
    ), '[]'),
    'has_triggers', exists (
        select from pg_trigger as trigger
        where trigger.tgrelid = relation.oid and not trigger.tgisinternal
    ),
    'columns', coalesce((
        select json_agg(json_build_object(
            'name', attribute.attname,
            'type', case
                when base.typnamespace = 'pg_catalog'::regnamespace
                    then format_type(base.oid, null)
                else format_type(attribute.atttypid, attribute.atttypmod)
            end,
            'nominal_type', format_type(attribute.atttypid, attribute.atttypmod),
            'nullable', not (attribute.attnotnull or (declared.typtype = 'd' and declared.typnotnull)),
            'default', case
                when attribute.attidentity = 'd' then (
                    select format('nextval(%L)', owned.objid::regclass)
                    from pg_depend as owned
                    where owned.refobjid = attribute.attrelid
                        and owned.refobjsubid = attribute.attnum
                        and owned.deptype = 'i'
                    limit 1
                )
                when attribute.attgenerated <> '' then null
                when stored.adbin is null then pg_get_expr(declared.typdefaultbin, 0)
                else pg_get_expr(stored.adbin, stored.adrelid)
            end,
            'max_length', information_schema._pg_char_max_length(
                information_schema._pg_truetypid(attribute.*, declared.*),
                information_schema._pg_truetypmod(attribute.*, declared.*)
            ),
            'enum', (
                select json_agg(label.enumlabel order by label.enumsortorder)
                from pg_enum as label where label.enumtypid = base.oid
            ),
            'description', col_description(relation.oid, attribute.attnum)
        ) order by attribute.attnum)
        from pg_attribute as attribute
        join pg_type as declared on declared.oid = attribute.atttypid
        join lateral (
            with recursive domain (oid, parent) as (
                select declared.oid, declared.typbasetype
                union all
                select inner_type.oid, inner_type.typbasetype
                from domain join pg_type as inner_type on inner_type.oid = domain.parent
            )
            select typ.* from domain join pg_type as typ on typ.oid = domain.oid
            where domain.parent = 0
        ) as base on true
        left join pg_attrdef as stored
            on stored.adrelid = attribute.attrelid and stored.adnum = attribute.attnum
        where attribute.attrelid = relation.oid
            and attribute.attnum > 0
            and not attribute.attisdropped
    ), '[]')
)::text
from pg_class as relation
join pg_namespace as namespace on namespace.oid = relation.relnamespace
where relation.relkind in ('r', 'p', 'v', 'm', 'f')
    and not relation.relispartition
    and namespace.nspname = any ($1::text[])
order by namespace.nspname, relation.relname
