-- The statements that make table :oid again, in the order in which they run. Names come out
-- qualified, since the search path is empty meanwhile.
WITH this AS (
    SELECT c.*, format('%I.%I', n.nspname, c.relname) AS target
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.oid = :oid
),
owned AS (
    -- Sequences of serial columns; those of identity columns are made with the column.
    SELECT d.refobjsubid AS number, d.deptype, s.oid, q.*,
           format('%I.%I', q.schemaname, q.sequencename) AS target
      FROM this
      JOIN pg_depend d ON d.refobjid = this.oid AND d.classid = 'pg_class'::regclass
                      AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
      JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
      JOIN pg_namespace sn ON sn.oid = s.relnamespace
      JOIN pg_sequences q ON q.schemaname = sn.nspname AND q.sequencename = s.relname
),
options AS (
    SELECT owned.*, format('INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s',
               increment_by, min_value, max_value, start_value, cache_size,
               CASE WHEN cycle THEN ' CYCLE' ELSE '' END) AS said
      FROM owned
),
columns AS (
    SELECT a.attnum, a.attname, a.attacl,
           format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
           || CASE WHEN a.attcollation <> t.typcollation THEN (
                  SELECT format(' COLLATE %I.%I', cn.nspname, co.collname)
                    FROM pg_collation co JOIN pg_namespace cn ON cn.oid = co.collnamespace
                   WHERE co.oid = a.attcollation) ELSE '' END
           || CASE WHEN a.attidentity <> '' THEN (
                  SELECT format(' GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)',
                             CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,
                             o.target, o.said)
                    FROM options o WHERE o.number = a.attnum AND o.deptype = 'i')
                   WHEN a.attgenerated = 's' THEN format(' GENERATED ALWAYS AS (%s) STORED',
                             pg_get_expr(d.adbin, d.adrelid))
                   WHEN a.attgenerated = 'v' THEN format(' GENERATED ALWAYS AS (%s) VIRTUAL',
                             pg_get_expr(d.adbin, d.adrelid))
                   WHEN d.oid IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)
                   ELSE '' END
           || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END AS line
      FROM this
      JOIN pg_attribute a ON a.attrelid = this.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type t ON t.oid = a.atttypid
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
),
grants AS (
    SELECT 1 AS part, 0 AS number, this.target, 'TABLE' AS kind, NULL AS columns, acl.*
      FROM this CROSS JOIN LATERAL aclexplode(this.relacl) AS acl
     WHERE acl.grantee <> this.relowner
    UNION ALL
    SELECT 2, c.attnum, this.target, 'TABLE', format(' (%I)', c.attname), acl.*
      FROM this CROSS JOIN columns c CROSS JOIN LATERAL aclexplode(c.attacl) AS acl
     WHERE acl.grantee <> this.relowner
    UNION ALL
    SELECT 3, o.number, o.target, 'SEQUENCE', NULL, acl.*
      FROM this CROSS JOIN owned o
      JOIN pg_class s ON s.oid = o.oid
     CROSS JOIN LATERAL aclexplode(s.relacl) AS acl
     WHERE acl.grantee <> this.relowner
),
statements (place, name, statement) AS (
    SELECT 10, o.target, format('CREATE SEQUENCE %s AS %s %s', o.target, o.data_type, o.said)
      FROM options o WHERE o.deptype = 'a'
    UNION ALL
    SELECT 20, '', format(E'CREATE %sTABLE %s (\n    %s\n)%s%s',
               CASE this.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, this.target,
               (SELECT string_agg(c.line, E',\n    ' ORDER BY c.attnum) FROM columns c),
               CASE WHEN this.relkind = 'p'
                    THEN ' PARTITION BY ' || pg_get_partkeydef(this.oid) ELSE '' END,
               CASE WHEN this.reloptions IS NOT NULL
                    THEN format(' WITH (%s)', array_to_string(this.reloptions, ', ')) ELSE '' END)
      FROM this
    UNION ALL
    SELECT 30, o.target, format('ALTER SEQUENCE %s OWNED BY %s.%I', o.target, this.target, c.attname)
      FROM this CROSS JOIN owned o JOIN columns c ON c.attnum = o.number WHERE o.deptype = 'a'
    UNION ALL
    SELECT CASE WHEN k.contype = 'f' THEN 50 ELSE 40 END,
           CASE k.contype WHEN 'p' THEN '1' WHEN 'u' THEN '2' ELSE '3' END || k.conname,
           format('ALTER TABLE %s ADD CONSTRAINT %I %s', this.target, k.conname,
                  pg_get_constraintdef(k.oid))
      FROM this JOIN pg_constraint k ON k.conrelid = this.oid
     WHERE k.contype IN ('p', 'u', 'c', 'f', 'x') AND k.conparentid = 0
    UNION ALL
    SELECT 60, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
      FROM this JOIN pg_index i ON i.indrelid = this.oid
     WHERE NOT EXISTS (SELECT FROM pg_constraint k
                        WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
    UNION ALL
    -- How columns are kept and counted. The number of steps is null or -1 where it is the server's.
    SELECT 45, lpad(a.attnum::text, 5, '0'),
           format('ALTER TABLE %s %s', this.target, array_to_string(ARRAY[
               CASE WHEN a.attstorage <> t.typstorage THEN
                   format('ALTER COLUMN %I SET STORAGE %s', a.attname, CASE a.attstorage
                       WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN'
                       ELSE 'EXTENDED' END) END,
               CASE WHEN a.attcompression <> '' THEN
                   format('ALTER COLUMN %I SET COMPRESSION %s', a.attname,
                       CASE a.attcompression WHEN 'l' THEN 'lz4' ELSE 'pglz' END) END,
               CASE WHEN a.attstattarget >= 0 THEN
                   format('ALTER COLUMN %I SET STATISTICS %s', a.attname, a.attstattarget) END,
               CASE WHEN a.attoptions IS NOT NULL THEN
                   format('ALTER COLUMN %I SET (%s)', a.attname,
                          array_to_string(a.attoptions, ', ')) END], ', '))
      FROM this JOIN pg_attribute a ON a.attrelid = this.oid AND a.attnum > 0
      JOIN pg_type t ON t.oid = a.atttypid
     WHERE NOT a.attisdropped AND (a.attstorage <> t.typstorage OR a.attcompression <> ''
            OR a.attstattarget >= 0 OR a.attoptions IS NOT NULL)
    UNION ALL
    SELECT 61, x.stxname, pg_get_statisticsobjdef(x.oid)
      FROM this JOIN pg_statistic_ext x ON x.stxrelid = this.oid
    UNION ALL
    SELECT 65, '', format('ALTER TABLE %s REPLICA IDENTITY %s', this.target,
               CASE this.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
                   ELSE format('USING INDEX %I', (
                       SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                        WHERE i.indrelid = this.oid AND i.indisreplident)) END)
      FROM this WHERE this.relreplident IN ('f', 'n', 'i')
    UNION ALL
    SELECT 66, '', format('ALTER TABLE %s CLUSTER ON %I', this.target, c.relname)
      FROM this JOIN pg_index i ON i.indrelid = this.oid AND i.indisclustered
      JOIN pg_class c ON c.oid = i.indexrelid
    UNION ALL
    -- Last among what makes the table: what it has from its parent has to be there by then.
    SELECT 67, lpad(h.inhseqno::text, 5, '0'),
           CASE WHEN this.relispartition
                THEN format('ALTER TABLE %s ATTACH PARTITION %s %s', h.inhparent::regclass,
                            this.target, pg_get_expr(this.relpartbound, this.oid))
                ELSE format('ALTER TABLE %s INHERIT %s', this.target, h.inhparent::regclass) END
      FROM this JOIN pg_inherits h ON h.inhrelid = this.oid
    UNION ALL
    SELECT 68, '', format('ALTER TABLE %s OF %s', this.target, this.reloftype::regtype)
      FROM this WHERE this.reloftype <> 0
    UNION ALL
    SELECT 70, '', format('ALTER TABLE %s %s ROW LEVEL SECURITY', this.target,
               CASE WHEN this.relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END)
      FROM this
    UNION ALL
    SELECT 71, '', format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', this.target)
      FROM this WHERE this.relforcerowsecurity
    UNION ALL
    SELECT 72, p.polname, format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s',
               p.polname, this.target,
               CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
               CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                             WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
               CASE WHEN 0 = ANY (p.polroles) THEN 'PUBLIC' ELSE (
                   SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname)
                     FROM pg_roles r WHERE r.oid = ANY (p.polroles)) END,
               coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ''),
               coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', ''))
      FROM this JOIN pg_policy p ON p.polrelid = this.oid
    UNION ALL
    SELECT 80, format('%s %s %s', part, number, grantee), format('GRANT %s ON %s %s TO %s',
               string_agg(privilege_type || coalesce(columns, ''), ', ' ORDER BY privilege_type),
               kind, target,
               CASE WHEN grantee = 0 THEN 'PUBLIC'
                    ELSE quote_ident(pg_get_userbyid(grantee)) END)
           || CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
      FROM grants GROUP BY part, number, kind, target, grantee, is_grantable
    UNION ALL
    SELECT 85, t.tgname, pg_get_triggerdef(t.oid)
      FROM this JOIN pg_trigger t ON t.tgrelid = this.oid AND NOT t.tgisinternal
     WHERE t.tgparentid = 0  -- those of a partition's parent come with it
    UNION ALL
    SELECT 86, t.tgname, format('ALTER TABLE %s %s TRIGGER %I', this.target,
               CASE t.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                                ELSE 'ENABLE REPLICA' END, t.tgname)
      FROM this JOIN pg_trigger t ON t.tgrelid = this.oid
     WHERE NOT t.tgisinternal AND t.tgenabled <> 'O'
    UNION ALL
    SELECT 87, w.rulename, rtrim(pg_get_ruledef(w.oid), ';')
      FROM this JOIN pg_rewrite w ON w.ev_class = this.oid
    UNION ALL
    SELECT 88, w.rulename, format('ALTER TABLE %s %s RULE %I', this.target,
               CASE w.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS'
                                 ELSE 'ENABLE REPLICA' END, w.rulename)
      FROM this JOIN pg_rewrite w ON w.ev_class = this.oid WHERE w.ev_enabled <> 'O'
    UNION ALL
    SELECT 90, '', format('COMMENT ON TABLE %s IS %L', this.target, said)
      FROM this CROSS JOIN LATERAL obj_description(this.oid, 'pg_class') AS said
     WHERE said IS NOT NULL
    UNION ALL
    SELECT 91, lpad(c.attnum::text, 5, '0'),
           format('COMMENT ON COLUMN %s.%I IS %L', this.target, c.attname, said)
      FROM this CROSS JOIN columns c
     CROSS JOIN LATERAL col_description(this.oid, c.attnum) AS said
     WHERE said IS NOT NULL
    UNION ALL
    SELECT 92, k.conname, format('COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname, this.target, said)
      FROM this JOIN pg_constraint k ON k.conrelid = this.oid
     CROSS JOIN LATERAL obj_description(k.oid, 'pg_constraint') AS said
     WHERE said IS NOT NULL
    UNION ALL
    SELECT 93, c.relname, format('COMMENT ON INDEX %I.%I IS %L', n.nspname, c.relname, said)
      FROM this JOIN pg_index i ON i.indrelid = this.oid
      JOIN pg_class c ON c.oid = i.indexrelid
      JOIN pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL obj_description(c.oid, 'pg_class') AS said
     WHERE said IS NOT NULL
    UNION ALL
    SELECT 94, p.polname, format('COMMENT ON POLICY %I ON %s IS %L', p.polname, this.target, said)
      FROM this JOIN pg_policy p ON p.polrelid = this.oid
     CROSS JOIN LATERAL obj_description(p.oid, 'pg_policy') AS said
     WHERE said IS NOT NULL
    UNION ALL
    SELECT 95, t.tgname, format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, this.target, said)
      FROM this JOIN pg_trigger t ON t.tgrelid = this.oid
     CROSS JOIN LATERAL obj_description(t.oid, 'pg_trigger') AS said
     WHERE said IS NOT NULL AND NOT t.tgisinternal
    UNION ALL
    SELECT 96, x.stxname, format('COMMENT ON STATISTICS %I.%I IS %L', n.nspname, x.stxname, said)
      FROM this JOIN pg_statistic_ext x ON x.stxrelid = this.oid
      JOIN pg_namespace n ON n.oid = x.stxnamespace
     CROSS JOIN LATERAL obj_description(x.oid, 'pg_statistic_ext') AS said
     WHERE said IS NOT NULL
    UNION ALL
    SELECT 97, w.rulename, format('COMMENT ON RULE %I ON %s IS %L', w.rulename, this.target, said)
      FROM this JOIN pg_rewrite w ON w.ev_class = this.oid
     CROSS JOIN LATERAL obj_description(w.oid, 'pg_rewrite') AS said
     WHERE said IS NOT NULL
)
SELECT statement FROM statements ORDER BY place, name COLLATE "C"
