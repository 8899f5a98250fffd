"""Functions that are replaced as a whole after every upgrade, so that no version repeats them."""

from importlib.resources import files

from undercroft.data.rest import function_sql

SCHEMA = "undercroft"


def scripts() -> list[str]:
    found = sorted(files(__name__).iterdir(), key=lambda entry: entry.name)
    ours = [entry.read_text("utf-8") for entry in found if entry.name.endswith(".sql")]
    # The signature may change between versions, and `create or replace` cannot follow that.
    return [*ours, DROP_EXECUTE + function_sql(SCHEMA)]


DROP_EXECUTE = """
DO $$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN SELECT oid FROM pg_proc
                WHERE pronamespace = 'undercroft'::regnamespace AND proname = 'rest_execute'
    LOOP
        EXECUTE 'DROP FUNCTION ' || old;
    END LOOP;
END $$;
"""
