"""Every setting Undercroft reads, one small class per group; nothing else reads the environment.

Environment names follow the path (`UNDERCROFT_AUTH__ACCESS_TOKEN_LIFETIME`); the names people
already know (`DATABASE_URL`, `SECRET_KEY`, …) work too and are listed in `known_names.py`.
"""

from undercroft.foundation.settings.auth import AuthSettings, PasswordSettings, ProviderSettings
from undercroft.foundation.settings.data import DataSettings
from undercroft.foundation.settings.engines import CacheSettings, DatabaseSettings
from undercroft.foundation.settings.http import HttpSettings, RateLimitSettings
from undercroft.foundation.settings.notifications import NotificationSettings
from undercroft.foundation.settings.operations import JobSettings, ObservabilitySettings
from undercroft.foundation.settings.outbound import OutboundSettings
from undercroft.foundation.settings.realtime import RealtimeSettings
from undercroft.foundation.settings.root import Environment, Settings, load_settings
from undercroft.foundation.settings.sql import SqlSettings
from undercroft.foundation.settings.storage import StorageSettings
from undercroft.foundation.settings.uploads import UploadSettings
from undercroft.foundation.settings.webhooks import WebhookSettings

__all__ = [
    "AuthSettings",
    "CacheSettings",
    "DataSettings",
    "DatabaseSettings",
    "Environment",
    "HttpSettings",
    "JobSettings",
    "NotificationSettings",
    "ObservabilitySettings",
    "OutboundSettings",
    "PasswordSettings",
    "ProviderSettings",
    "RateLimitSettings",
    "RealtimeSettings",
    "Settings",
    "SqlSettings",
    "StorageSettings",
    "UploadSettings",
    "WebhookSettings",
    "load_settings",
]
