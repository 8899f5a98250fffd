SELECT format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)) AS object,
       'Anyone may call it without signing in, because nobody said otherwise.' AS sentence,
       format('REVOKE EXECUTE ON FUNCTION %1$I.%2$I(%3$s) FROM PUBLIC;'
              || ' GRANT EXECUTE ON FUNCTION %1$I.%2$I(%3$s) TO authenticated, service_role;',
              n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)) AS fix
  FROM pg_proc f
  JOIN pg_namespace n ON n.oid = f.pronamespace
 WHERE undercroft.is_exposed(n.nspname) AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
   AND NOT f.prosecdef AND f.prokind = 'f'
   AND f.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
   AND has_schema_privilege('anon', n.oid, 'USAGE')
   AND EXISTS (SELECT FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
                WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = f.oid AND d.deptype = 'e')
 ORDER BY 1
