-- Whether any routine may run text as a command, so that who calls it may have a say in what runs.
-- Languages other than these always may; of the others the words are looked for in the source, which
-- can only err by seeing one where it does nothing. The platform's own take no text from outside.
select exists (
    select from pg_proc as routine
    join pg_language as language on language.oid = routine.prolang
    join pg_namespace as namespace on namespace.oid = routine.pronamespace
    where language.lanname not in ('c', 'internal')
        and (
            language.lanname not in ('sql', 'plpgsql')
            or coalesce(pg_get_function_sqlbody(routine.oid), routine.prosrc)
                ~* '\m(execute|prepare|deallocate|ts_stat|query_to_\w+|cursor_to_\w+|database_to_\w+)\M'
        )
        and namespace.nspname not in (
            'pg_catalog', 'information_schema', 'undercroft', 'auth', 'notifications', 'operations',
            'realtime', 'storage', 'webhooks'
        )
        and not exists (
            select from pg_depend as member
            where member.classid = 'pg_proc'::regclass and member.objid = routine.oid
                and member.deptype = 'e'
        )
)
