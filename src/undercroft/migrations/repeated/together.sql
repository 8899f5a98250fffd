-- Raised inside a statement of foundation/jobs/together.py that takes a longer way.
CREATE OR REPLACE FUNCTION undercroft.not_together() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING errcode = 'UCJ01', message = 'takes a transaction of several statements';
END $$;

-- The same for a change that found out by itself: the next one may go the short way again.
CREATE OR REPLACE FUNCTION undercroft.not_at_once() RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION USING errcode = 'UCJ02', message = 'takes a transaction of several statements';
END $$;
