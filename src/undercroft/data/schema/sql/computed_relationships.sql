-- Functions from one row of a relation to rows of another.
select json_build_object(
    'schema', namespace.nspname,
    'name', routine.proname,
    'table_schema', own_schema.nspname,
    'table', own.relname,
    'foreign_schema', other_schema.nspname,
    'foreign_table', other.relname,
    'to_one', not routine.proretset or routine.prorows = 1
)::text
from pg_proc as routine
join pg_namespace as namespace on namespace.oid = routine.pronamespace
join pg_class as own on own.reltype = routine.proargtypes[0]
join pg_namespace as own_schema on own_schema.oid = own.relnamespace
join pg_class as other on other.reltype = routine.prorettype
join pg_namespace as other_schema on other_schema.oid = other.relnamespace
where routine.pronargs = 1
    and own.relkind in ('r', 'p', 'v', 'm', 'f')
    and other.relkind in ('r', 'p', 'v', 'm', 'f')
    and own_schema.nspname = any ($1::text[])
