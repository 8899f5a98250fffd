"""Uploads for accounts: media by form or by URL, and profile pictures."""

from undercroft.storage.media.fetching import JOBS
from undercroft.storage.media.incoming import FORM_BYTES
from undercroft.storage.media.personal import PERSONAL
from undercroft.storage.media.pictures import Studio
from undercroft.storage.media.routes import PERMISSIONS, picture_router, router

ROUTERS = (router, picture_router)

__all__ = ["FORM_BYTES", "JOBS", "PERMISSIONS", "PERSONAL", "ROUTERS", "Studio"]
