"""Apps: Python packages that join the platform by a descriptor. No domain words."""

from undercroft.foundation.apps.descriptor import App, HealthProbe
from undercroft.foundation.apps.discovery import (
    find_apps,
    installed_apps,
    load_app,
    unread_settings,
)
from undercroft.foundation.apps.settings import AppSettings, settings_of

__all__ = [
    "App",
    "AppSettings",
    "HealthProbe",
    "find_apps",
    "installed_apps",
    "load_app",
    "settings_of",
    "unread_settings",
]
