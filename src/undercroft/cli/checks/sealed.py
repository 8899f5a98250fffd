"""Whether SECRET_KEY is the one that the database was made with."""

from undercroft.cli.checks.finding import Finding, Level
from undercroft.foundation.settings import Settings


async def sealed_finding(settings: Settings) -> Finding:
    from undercroft.app import open_parts
    from undercroft.foundation.crypto import SealedElsewhere
    from undercroft.identity.bootstrap import role_keys

    try:
        async with (
            open_parts(settings) as (parts, identity),
            parts.database.unit_of_work() as session,
        ):
            await role_keys(session, identity.keyring)
    except SealedElsewhere as error:
        return Finding("Sealed", Level.FAIL, "SECRET_KEY does not open what is kept", str(error))
    return Finding("Sealed", Level.OK, "SECRET_KEY opens what is kept", "")
