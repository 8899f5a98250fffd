-- Implicit casts by function between a domain and json or text: how a column is read and written.
select json_build_object(
    'source', definition.castsource::regtype::text,
    'target', definition.casttarget::regtype::text,
    'function', definition.castfunc::regproc::text
)::text
from pg_cast as definition
join pg_type as source on source.oid = definition.castsource
join pg_type as target on target.oid = definition.casttarget
where definition.castcontext = 'i'
    and definition.castmethod = 'f'
    and has_function_privilege(definition.castfunc, 'execute')
    and (
        (source.typtype = 'd' and target.oid in ('json'::regtype, 'text'::regtype))
        or (target.typtype = 'd' and source.oid in ('json'::regtype, 'text'::regtype))
    )
