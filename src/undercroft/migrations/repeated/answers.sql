-- Answers of writes to rows by Idempotency-Key, in the transaction of the write. The rows API's login
-- calls these; it alone may use this schema, and the content is sealed.

-- Claim a key until the transaction ends and find what it was answered with, null for a new one.
CREATE OR REPLACE FUNCTION undercroft.find_answer(
    in_scope bytea, OUT locked boolean, OUT fingerprint bytea, OUT sealed bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    locked := pg_try_advisory_xact_lock(hashtextextended(encode(in_scope, 'hex'), 0));
    SELECT k.fingerprint, k.sealed INTO fingerprint, sealed
      FROM undercroft.idempotency_keys k
     WHERE k.scope = in_scope AND k.expires_at > now();
END $$;

CREATE OR REPLACE FUNCTION undercroft.keep_answer(
    in_scope bytea, in_fingerprint bytea, in_status integer, in_sealed bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO undercroft.idempotency_keys (scope, fingerprint, status, sealed)
    VALUES (in_scope, in_fingerprint, in_status, in_sealed)
        ON CONFLICT (scope) DO UPDATE
       SET fingerprint = excluded.fingerprint, status = excluded.status,
           sealed = excluded.sealed, expires_at = DEFAULT
$$;
