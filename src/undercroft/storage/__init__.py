"""Files: buckets and objects under row security, their bytes on disk or in an object store.

Other wings keep files in buckets of their own through `Files` (`files.py`).
"""

from undercroft.storage import media
from undercroft.storage.blobs import Staged
from undercroft.storage.callers import PERMISSIONS
from undercroft.storage.files import Files, SystemBucket
from undercroft.storage.jobs import JOBS, SCHEDULES
from undercroft.storage.lookup import StoredFile
from undercroft.storage.parts import FilesParts

__all__ = [
    "JOBS",
    "PERMISSIONS",
    "SCHEDULES",
    "Files",
    "FilesParts",
    "Staged",
    "StoredFile",
    "SystemBucket",
    "media",
]
