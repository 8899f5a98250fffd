-- Aggregates over rows, and plain functions, of the exposed schemas ($1) whose result is a domain
-- named like a media type.
select json_build_object(
    'schema', namespace.nspname,
    'name', routine.proname,
    'is_aggregate', routine.prokind = 'a',
    'target_schema', coalesce(own_schema.nspname, ''),
    'target', own.relname,
    'media_type', lower(media.typname),
    'content', media.typbasetype::regtype::text
)::text
from pg_proc as routine
join pg_namespace as namespace on namespace.oid = routine.pronamespace
join pg_type as media on media.oid = routine.prorettype and media.typtype = 'd'
left join pg_class as own on own.reltype = routine.proargtypes[0]
left join pg_namespace as own_schema on own_schema.oid = own.relnamespace
where namespace.nspname = any ($1::text[])
    and (media.typname ~* '^[a-z0-9.-]+/[a-z0-9.+-]+$' or media.typname = '*/*')
    and (
        (routine.prokind = 'f' and not routine.proretset)
        or (
            routine.prokind = 'a'
            and routine.pronargs = 1
            and (own.oid is not null or routine.proargtypes[0] = 'anyelement'::regtype)
        )
    )
