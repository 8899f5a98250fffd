-- What a policy reads stands in its stored expression by number. The way from table to table finds
-- candidates; Postgres then says of each table whether it takes a statement on it.
WITH RECURSIVE reads (policy, relation, source) AS (
    SELECT p.oid, p.polrelid, found.source[1]::oid
      FROM pg_policy p
     CROSS JOIN LATERAL regexp_matches(
            concat(p.polqual::text, p.polwithcheck::text), '[:]relid (\d+)', 'g') AS found (source)
), steps (relation, source) AS (
    SELECT relation, source FROM reads
     UNION
    SELECT w.ev_class, found.source[1]::oid
      FROM pg_rewrite w
      JOIN pg_class v ON v.oid = w.ev_class AND v.relkind = 'v'
     CROSS JOIN LATERAL regexp_matches(w.ev_action::text, '[:]relid (\d+)', 'g') AS found (source)
     WHERE found.source[1]::oid <> w.ev_class
), ways (policy, reached) AS (
    SELECT policy, source FROM reads
     UNION
    SELECT ways.policy, steps.source FROM ways JOIN steps ON steps.relation = ways.reached
), candidates AS MATERIALIZED (
    SELECT DISTINCT p.oid, p.polname, p.polrelid, n.nspname, c.relname
      FROM ways
      JOIN pg_policy p ON p.oid = ways.policy AND p.polrelid = ways.reached
      JOIN pg_class c ON c.oid = p.polrelid AND c.relrowsecurity
      JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE undercroft.takes_policies(n.nspname, c.relname)
       AND (CAST(:schema AS text) IS NULL OR n.nspname = :schema)
), endless AS MATERIALIZED (
    SELECT polrelid FROM (SELECT DISTINCT polrelid FROM candidates) AS one
     WHERE undercroft.reads_itself(polrelid, '100ms', false)
)
SELECT format('%I.%I %I', nspname, relname, polname) AS object,
       'To decide about a row it reads its own table, and so every request fails: read those rows'
           || ' in a SECURITY DEFINER function instead.' AS sentence,
       format('DROP POLICY %I ON %I.%I;', polname, nspname, relname) AS fix
  FROM candidates JOIN endless USING (polrelid)
 ORDER BY 1
