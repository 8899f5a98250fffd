"""What can go wrong with files.

Problems are what the control plane renders; the storage plane says the same in the words that its
clients parse (`wire.py`).
"""

from undercroft.foundation.problems import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    Unavailable,
)


class FileNotFound(NotFound):
    title = "No such file"


class BucketNotFound(NotFound):
    title = "No such bucket"


class FileNameInvalid(Invalid):
    title = "The file's name is not valid"
    detail = "Names have up to 1024 bytes, no control characters, and no empty or dotted parts."


class BucketNameInvalid(Invalid):
    title = "The bucket's name is not valid"
    detail = "Names have up to 100 letters, digits and common signs, and do not start with '_'."


class FileExists(Conflict):
    title = "The file exists already"
    detail = "Choose another name, or replace it."


class FileTooLarge(Problem):
    status = 413
    title = "The file is too large"
    detail = "At most {max_bytes} bytes are accepted here."

    def __init__(self, max_bytes: int) -> None:
        # The rest of the body is not read, so the connection cannot carry another request.
        super().__init__(headers={"Connection": "close"}, max_bytes=max_bytes)


class FileTypeRefused(Problem):
    status = 415
    title = "This type of file is not accepted here"
    detail = "The content is of the type {media_type}."

    def __init__(self, media_type: str) -> None:
        super().__init__(media_type=media_type)


class QuotaExceeded(Problem):
    status = 413
    title = "The organization's storage is full"
    detail = "Remove files, or ask for a larger quota."


class StorageFull(Problem):
    status = 507
    title = "The storage is full"
    detail = "Nothing was changed. The operator has to make room."


class FileRefused(Forbidden):
    title = "Not allowed with this file"
    detail = "No policy lets you do this."


class UploadExpired(Conflict):
    title = "The upload took too long"
    detail = "Start it again."


class RefusedByDatabase(Invalid):
    """A trigger or the expression of a policy did."""

    title = "The database refused the file"
    detail = "A rule of this application does not accept it."


class LimitsChanged(Exception):  # noqa: N818 - what happened
    """The bucket takes other files than when this caller was let in. No caller hears of it."""


class StorageUnavailable(Unavailable):
    title = "The files cannot be reached"
