-- What policies may ask about the caller: auth.has, auth.orgs, auth.org_role, auth.feature.
-- Write them as (select auth.has('x')): evaluated once a statement instead of once a row. They
-- read tables that the API's roles cannot, hence SECURITY DEFINER; what takes a user's id as an
-- argument would let anyone ask about anyone, so that only ours may call it.

-- The API key that calls, null for anybody else.
CREATE OR REPLACE FUNCTION auth.api_key() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT nullif(auth.jwt() ->> 'api_key', '')::uuid
$$;

-- Whether an account that may sign in holds a permission, through whichever active group.
CREATE OR REPLACE FUNCTION auth.holds(holder uuid, wanted text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (
        SELECT FROM auth.users u
          JOIN auth.user_groups ug ON ug.user_id = u.id
          JOIN auth.groups g ON g.id = ug.group_id AND g.is_active
         WHERE u.id = holder AND u.status IN ('active', 'unverified')
           AND (g.codename = 'super_admin' OR EXISTS (
               SELECT FROM auth.group_permissions p
                WHERE p.group_id = g.id AND p.permission = wanted))
    )
$$;

CREATE OR REPLACE FUNCTION auth.has(permission text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN auth.role() = 'service_role' THEN true
        WHEN auth.api_key() IS NOT NULL THEN EXISTS (
            -- A key never has more than its creator has now.
            SELECT FROM auth.api_keys k
              JOIN auth.api_key_permissions kp ON kp.api_key_id = k.id
             WHERE k.id = auth.api_key() AND kp.permission = has.permission
               AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
               AND auth.holds(k.created_by, kp.permission))
        ELSE auth.holds(auth.uid(), has.permission)
    END
$$;
COMMENT ON FUNCTION auth.has(text) IS
    'Whether the caller holds a permission. Policies write (select auth.has(''noun:verb'')).';

-- A key reads as its creator does, never as more than a member.
CREATE OR REPLACE FUNCTION auth.organizations_of(member uuid, key uuid)
RETURNS TABLE (organization_id uuid, role text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT m.organization_id, m.role::text
      FROM auth.memberships m
      JOIN auth.organizations o ON o.id = m.organization_id AND o.is_active
     WHERE m.user_id = member AND key IS NULL
     UNION ALL
    SELECT m.organization_id, CASE m.role WHEN 'guest' THEN 'guest' ELSE 'member' END
      FROM auth.api_keys k
      JOIN auth.memberships m
        ON m.organization_id = k.organization_id AND m.user_id = k.created_by
      JOIN auth.organizations o ON o.id = m.organization_id AND o.is_active
     WHERE k.id = key AND k.revoked_at IS NULL
       AND (k.expires_at IS NULL OR k.expires_at > now())
$$;

CREATE OR REPLACE FUNCTION auth.orgs() RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT organization_id FROM auth.organizations_of(auth.uid(), auth.api_key())
$$;
COMMENT ON FUNCTION auth.orgs() IS
    'The caller''s organizations. Policies write organization_id in (select auth.orgs()).';

-- An empty list stands for every role.
CREATE OR REPLACE FUNCTION auth.orgs(roles text[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT organization_id FROM auth.organizations_of(auth.uid(), auth.api_key())
     WHERE roles = '{}' OR role = ANY (roles)
$$;
COMMENT ON FUNCTION auth.orgs(text[]) IS
    'The caller''s organizations in which they hold one of the roles.';

CREATE OR REPLACE FUNCTION auth.org_role(id uuid) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT role FROM auth.organizations_of(auth.uid(), auth.api_key())
     WHERE organization_id = org_role.id
$$;
COMMENT ON FUNCTION auth.org_role(uuid) IS
    'The caller''s role in an organization: owner, admin, member, guest, or null.';

-- The one place that decides whether a flag is on for somebody.
CREATE OR REPLACE FUNCTION auth.feature_is_on(feature auth.features, caller uuid, key uuid)
RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT feature.is_active
       AND coalesce(feature.starts_at <= now(), true)
       AND coalesce(feature.ends_at > now(), true)
       AND (feature.percentage = 100
            -- The share is stable: the same people at 20 % are in at 30 %, and another flag's
            -- 20 % are others.
            OR (caller IS NOT NULL AND feature.percentage > (
                    'x' || left(encode(sha256(convert_to(
                        feature.id::text || ':' || caller::text, 'UTF8')), 'hex'), 8)
                )::bit(32)::bigint % 100)
            OR EXISTS (
                SELECT FROM auth.feature_users f
                 WHERE f.feature_id = feature.id AND f.user_id = caller)
            OR EXISTS (
                SELECT FROM auth.feature_groups f
                  JOIN auth.groups g ON g.id = f.group_id AND g.is_active
                  JOIN auth.user_groups ug ON ug.group_id = g.id AND ug.user_id = caller
                 WHERE f.feature_id = feature.id)
            OR EXISTS (
                SELECT FROM auth.feature_organizations f
                  JOIN auth.organizations_of(caller, key) o USING (organization_id)
                 WHERE f.feature_id = feature.id))
$$;

CREATE OR REPLACE FUNCTION auth.features_of(caller uuid, key uuid) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT f.name::text FROM auth.features f
     WHERE auth.feature_is_on(f, caller, key) ORDER BY f.name
$$;

CREATE OR REPLACE FUNCTION auth.feature(name text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        (SELECT auth.feature_is_on(f, auth.uid(), auth.api_key())
           FROM auth.features f WHERE f.name = feature.name), false)
$$;
COMMENT ON FUNCTION auth.feature(text) IS
    'Whether a feature flag is on for the caller. Policies write (select auth.feature(''name'')).';

REVOKE ALL ON FUNCTION auth.holds(uuid, text), auth.organizations_of(uuid, uuid),
    auth.feature_is_on(auth.features, uuid, uuid), auth.features_of(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION auth.has(text), auth.orgs(), auth.orgs(text[]),
    auth.org_role(uuid), auth.feature(text),
    auth.api_key() TO anon, authenticated, service_role;
