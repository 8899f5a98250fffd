"""`undercroft serve`: engines, web workers and the job worker under a parent that watches."""

from undercroft.server.errors import CannotServe
from undercroft.server.serve import ServeOptions, serve

__all__ = ["CannotServe", "ServeOptions", "serve"]
