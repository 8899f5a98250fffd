"""`undercroft rest`: the rows API alone over any database, configured as PostgREST is."""

from undercroft.data.rest.standalone.app import create_standalone_app
from undercroft.data.rest.standalone.settings import InvalidSettingError

__all__ = ["InvalidSettingError", "create_standalone_app"]
