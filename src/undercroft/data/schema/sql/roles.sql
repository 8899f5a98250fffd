-- Settings of the roles we may become, to be applied by hand: SET ROLE does not.
select json_build_object(
    'role', target.rolname,
    'name', split_part(item, '=', 1),
    'value', substr(item, strpos(item, '=') + 1)
)::text
from pg_auth_members as membership
join pg_roles as target on target.oid = membership.roleid
cross join lateral unnest(target.rolconfig) as item
where membership.member = (select oid from pg_roles where rolname = current_user)
    and (
        split_part(item, '=', 1) = 'default_transaction_isolation'
        or exists (
            select from pg_settings as setting
            where setting.name = split_part(item, '=', 1) and setting.context = 'user'
        )
        or has_parameter_privilege(current_user, split_part(item, '=', 1), 'set')
    )
