"""`undercroft rest`."""

import os


def rest() -> None:
    """Serve the rows API alone over any database, configured by PostgREST's PGRST_* variables."""
    import uvicorn

    from undercroft.data.rest.standalone import InvalidSettingError, create_standalone_app
    from undercroft.foundation.problems import SettingsInvalid

    try:
        app = create_standalone_app(os.environ)
    except InvalidSettingError as error:
        raise SettingsInvalid(str(error)) from error
    settings = app.settings
    uvicorn.run(
        app,
        host=settings.bind_host,
        port=settings.port,
        uds=settings.unix_socket,
        loop="uvloop",
        http="httptools",
        log_level=LEVELS.get(settings.log_level, settings.log_level),
        access_log=settings.log_level in {"info", "debug"},
        server_header=False,
    )


# PostgREST's names of levels, and uvicorn's.
LEVELS = {"crit": "critical", "warn": "warning"}
