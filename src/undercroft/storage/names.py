"""Names of buckets and files: what is accepted, and how they travel in headers.

Names never become paths on a disk (keys of bytes are ours), so the rules protect people: two names
that look alike are one name, and no name hides what it is.
"""

import re
import unicodedata
from urllib.parse import quote

from undercroft.storage.errors import BucketNameInvalid, FileNameInvalid

LONGEST_NAME_BYTES = 1024
LONGEST_BUCKET = 100
# Buckets that wings own. Callers of the protocol never see them.
SYSTEM_PREFIX = "_"

# Most names: nothing in them to compose, hide or mislead.
PLAIN = re.compile(r"[a-z0-9][\w.-]*(?:/[a-z0-9][\w.-]*)*", re.ASCII | re.IGNORECASE)
BUCKET = re.compile(r"[\w!.*'() &$@=;:+,?-]{1,100}", re.ASCII)
# Control characters, surrogates, private use and unassigned; format characters, which reverse text
# or have no width; line and paragraph separators.
UNWANTED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Joins emoji and letters of several scripts: a format character that names need.
JOINERS = "\u200c\u200d"


def file_name(given: str) -> str:
    """The name as it is kept: composed (NFC), so that it is found however it was typed.

    Raises `FileNameInvalid`.
    """
    if len(given) <= LONGEST_NAME_BYTES and PLAIN.fullmatch(given):
        return given
    name = unicodedata.normalize("NFC", given)
    if not name or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME_BYTES:
        raise FileNameInvalid
    if "\\" in name or "\ufffd" in name or any(_is_unwanted(character) for character in name):
        raise FileNameInvalid
    if any(_is_deceptive(segment) for segment in name.split("/")):
        raise FileNameInvalid
    return name


def file_prefix(given: str) -> str:
    """The beginning of names, for lists; anything but what no name can hold."""
    prefix = unicodedata.normalize("NFC", given)
    if len(prefix.encode("utf-8", "surrogatepass")) > LONGEST_NAME_BYTES:
        raise FileNameInvalid
    if any(_is_unwanted(character) for character in prefix):
        raise FileNameInvalid
    return prefix


def bucket_name(given: str) -> str:
    """Raises `BucketNameInvalid`."""
    if not BUCKET.fullmatch(given) or given != given.strip() or not given.strip("."):
        raise BucketNameInvalid
    if given.startswith(SYSTEM_PREFIX):
        raise BucketNameInvalid
    return given


def is_system(bucket: str) -> bool:
    return bucket.startswith(SYSTEM_PREFIX)


def disposition(kind: str, name: str) -> str:
    """A Content-Disposition for a file of this name (RFC 6266)."""
    last = name.rpartition("/")[2]
    plain = re.sub(r'[^ -~]|["\\%]', "_", last)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(last, safe='')}"


def _is_unwanted(character: str) -> bool:
    return unicodedata.category(character) in UNWANTED and character not in JOINERS


def _is_deceptive(segment: str) -> bool:
    """Empty, dots alone, or with spaces at an end."""
    return not segment.strip(".") or segment != segment.strip()
