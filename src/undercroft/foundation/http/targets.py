"""Request targets as people type them.

RFC 9112 wants them in ASCII, and the parser refuses others. curl sends `?name=eq.Zoë` as it stands.
"""

import re
from urllib.parse import quote

_REQUEST_LINE = re.compile(rb"\A([A-Z]{3,10} )([^ \r\n]+)(?= HTTP/1\.[01]\r?\n)")
_ASCII = bytes(range(0x21, 0x7F)).decode()


def encoded(head: bytes) -> bytes:
    """Percent-encode what of the target is no ASCII, if this begins with a whole request line."""
    return _REQUEST_LINE.sub(lambda found: found[1] + quote(found[2], _ASCII).encode(), head, 1)
