"""What can go wrong with uploads."""

from undercroft.foundation.problems import Conflict, Invalid, NotFound, Problem


class MediaNotFound(NotFound):
    title = "No such upload"


class UploadMissing(Invalid):
    title = "There is no file in this request"
    detail = "Send multipart/form-data with a part named 'file', or JSON with a 'url'."


class UploadMalformed(Invalid):
    title = "The upload cannot be read"
    detail = "The multipart body is broken or ends early."


class UploadEmpty(Invalid):
    title = "The file is empty"


class UploadUrlRefused(Invalid):
    title = "Files are not fetched from this address"
    detail = "Give a public http or https address, without credentials and on a usual port."


class UploadsFull(Problem):
    status = 413
    title = "There is no room for this upload"
    detail = "An account may keep {max_files} files of {max_bytes} bytes in all. Remove some."

    def __init__(self, max_files: int, max_bytes: int) -> None:
        super().__init__(max_files=max_files, max_bytes=max_bytes)


class TooManyFetches(Conflict):
    title = "Enough files are being fetched"
    detail = "At most {most} may be under way. Wait for one to end."

    def __init__(self, most: int) -> None:
        super().__init__(most=most)


class PictureUnreadable(Invalid):
    title = "This is no picture"
    detail = "Send a JPEG, PNG, GIF or WebP image that is whole."


class PictureTooLarge(Problem):
    status = 413
    title = "The picture has too many pixels"
    detail = "At most {max_pixels} pixels are accepted."

    def __init__(self, max_pixels: int) -> None:
        super().__init__(max_pixels=max_pixels)
