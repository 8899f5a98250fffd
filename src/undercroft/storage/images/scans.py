"""Images that are small in pixels and endless in work.

A progressive JPEG draws every pixel once per scan, and an empty scan takes a dozen bytes: a file of
some megabytes can keep a thread busy for hours. Encoders write about ten.
"""

JPEG = b"\xff\xd8\xff"
# Inside a scan this pair of bytes cannot stand, in a thumbnail or a profile only by chance.
SCAN = b"\xff\xda"
MOST_SCANS = 100


def has_many_scans(content: bytes) -> bool:
    return content.startswith(JPEG) and content.count(SCAN) > MOST_SCANS
