-- Callable functions of the exposed schemas ($1). Unnamed arguments only when there is exactly
-- one, of a type that a whole request body can be. $2: names of settings that apply to the
-- transaction of a call, not only inside the function.
with recursive domain (oid, base, parent) as (
    select oid, oid, typbasetype from pg_type
    union all
    select domain.oid, inner_type.oid, inner_type.typbasetype
    from domain join pg_type as inner_type on inner_type.oid = domain.parent
),
argument as (
    select
        routine.oid,
        json_agg(json_build_object(
            'name', coalesce(item.name, ''),
            'type', item.type::regtype::text,
            -- a bare bit or character would cut what it is given to one place
            'call_type', case item.type
                when 'bit'::regtype then 'bit varying'
                when 'bit[]'::regtype then 'bit varying[]'
                when 'character'::regtype then 'character varying'
                when 'character[]'::regtype then 'character varying[]'
                else item.type::regtype::text
            end,
            'required', item.position <= routine.pronargs - routine.pronargdefaults,
            'variadic', coalesce(item.mode = 'v', false)
        ) order by item.position) as items,
        count(*) = count(nullif(item.name, '')) or (
            count(*) = 1
            and (array_agg(item.type))[1] in (
                'bytea'::regtype, 'json'::regtype, 'jsonb'::regtype, 'text'::regtype, 'xml'::regtype
            )
        ) as callable
    from pg_proc as routine
    cross join lateral unnest(routine.proargnames, routine.proargtypes, routine.proargmodes)
        with ordinality as item (name, type, mode, position)
    where item.type is not null and routine.prokind = 'f'
    group by routine.oid
)
select json_build_object(
    'oid', routine.oid::bigint,
    'schema', namespace.nspname,
    'name', routine.proname,
    'description', obj_description(routine.oid, 'pg_proc'),
    'parameters', coalesce(argument.items, '[]'),
    'returns_schema', result_schema.nspname,
    'returns', coalesce(result_table.relname, result.typname),
    'returns_set', routine.proretset,
    'returns_composite', result.typtype = 'c'
        or coalesce(routine.proargmodes::text[] && '{t,b,o}', false),
    'volatility', routine.provolatile,
    'settings', coalesce((
        select json_agg(json_build_array(split_part(item, '=', 1), substr(item, strpos(item, '=') + 1)))
        from unnest(routine.proconfig) as item
        where split_part(item, '=', 1) = any ($2::text[])
    ), '[]'),
    'isolation', (
        select lower(substr(item, strpos(item, '=') + 1))
        from unnest(routine.proconfig) as item
        where item like 'default\_transaction\_isolation=%'
    )
)::text
from pg_proc as routine
join pg_namespace as namespace on namespace.oid = routine.pronamespace
join domain on domain.oid = routine.prorettype and domain.parent = 0
join pg_type as result on result.oid = domain.base
join pg_namespace as result_schema on result_schema.oid = result.typnamespace
left join pg_class as result_table on result_table.oid = result.typrelid
left join argument on argument.oid = routine.oid
where routine.prokind = 'f'
    and result.oid not in ('trigger'::regtype, 'event_trigger'::regtype)
    and coalesce(argument.callable, true)
    and namespace.nspname = any ($1::text[])
order by namespace.nspname, routine.proname, routine.pronargs
