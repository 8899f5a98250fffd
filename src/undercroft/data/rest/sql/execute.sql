-- One round trip for one request: become the caller, run one statement, hand back its one row.
--
-- Everything set here is local to the transaction, which is this very call. The caller is entered
-- last, so that nothing before runs with less right than it needs, and `settings` (name, value,
-- name, value …) before that, since some may be granted to the login role alone. Until then every
-- name is written in full: the path holds schemas where others make functions and operators.
--
-- `statement` is a template for format(): either EXECUTE of a statement that `definition`
-- prepared on this connection, or the statement itself. `body` is $1 of the latter, for bodies too
-- large to be quoted into a text. Outside `least` and `most` rows the transaction is refused.
-- `known`, how many statements are prepared on this connection for certain, asks to leave the
-- session as it was found; -1 spares looking at them.
create or replace function {schema}.rest_execute(
    in_search_path text,
    in_claims text,
    in_method text,
    in_path text,
    in_headers text,
    in_cookies text,
    in_read_only text,
    in_role text,
    in_settings text[],
    in_pre_request text,
    in_name text,
    in_definition text,
    in_statement text,
    in_values text[],
    in_body text,
    in_least bigint,
    in_most bigint,
    in_known integer,
    out total bigint,
    out page bigint,
    out body bytea,
    out location text[],
    out response_headers text,
    out response_status text,
    out inserted bigint,
    out unclean boolean
)
language plpgsql
as $function$
begin
    if in_settings is not null then
        for i in 1 .. pg_catalog.array_length(in_settings, 1) by 2 loop
            perform pg_catalog.set_config(in_settings[i], in_settings[i operator(pg_catalog.+) 1], true);
        end loop;
    end if;
    -- Null: what the connection was opened with. Every setting costs microseconds, the search path
    -- a look at the catalogue too.
    perform
        case when in_search_path is not null
            then pg_catalog.set_config('search_path', in_search_path, true) end,
        case when in_method is not null
            then pg_catalog.set_config('request.method', in_method, true) end,
        case when in_cookies is not null
            then pg_catalog.set_config('request.cookies', in_cookies, true) end,
        pg_catalog.set_config('request.jwt.claims', in_claims, true),
        pg_catalog.set_config('request.path', in_path, true),
        pg_catalog.set_config('request.headers', in_headers, true),
        pg_catalog.set_config('transaction_read_only', in_read_only, true),
        pg_catalog.set_config('role', in_role, true);
    if in_pre_request is not null then
        execute in_pre_request;
    end if;
    if in_definition is not null then
        begin
            execute in_definition;
        exception when duplicate_prepared_statement then
            null;  -- what failed on its first run is there all the same
        end;
    end if;
    execute pg_catalog.format(in_statement, variadic in_values)
        into total, page, body, location, response_headers, response_status, inserted
        using in_body;
    if page < in_least or page > in_most then
        raise exception using errcode = 'UCROW', message = page::text;
    end if;
    -- After foreign code nothing of the session is as it was for certain. What cannot be put back
    -- here is told: open cursors and, where looking is worth microseconds for each that there is,
    -- statements that it prepared under our names or took away.
    if in_known is not null then
        set constraints all immediate;
        perform pg_catalog.pg_advisory_unlock_all();
        unlisten *;
        if pg_catalog.pg_my_temp_schema() operator(pg_catalog.<>) 0 then
            execute 'close all';
            discard temp;
        end if;
        unclean := exists (select from pg_catalog.pg_cursors where is_holdable);
        reset all;
        perform pg_catalog.set_config('role', 'none', false);
        -- The login may look, its roles may not where a superuser could take that from everybody.
        if in_known operator(pg_catalog.>=) 0 and pg_catalog.has_table_privilege(
            'pg_catalog.pg_prepared_statements', 'SELECT')
        then
            select unclean
                or pg_catalog.count(*) filter (where name operator(pg_catalog.^@) 'undercroft_')
                    operator(pg_catalog.<) in_known
                or pg_catalog.bool_or(
                    prepare_time operator(pg_catalog.=) pg_catalog.statement_timestamp()
                    and (in_definition is null or name operator(pg_catalog.<>) in_name
                        or statement operator(pg_catalog.<>) in_definition))
                into unclean
                from pg_catalog.pg_prepared_statements;
        end if;
    end if;
end
$function$;
