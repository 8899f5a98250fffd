"""Which names are accepted, and how they are kept."""

import unicodedata

import pytest

from undercroft.storage.errors import BucketNameInvalid, FileNameInvalid
from undercroft.storage.names import bucket_name, disposition, file_name


@pytest.mark.parametrize(
    "name",
    [
        "a.png",
        "folder/sub folder/ü.txt",
        "日本語/файл (1).pdf",
        "a" * 1024,
        ".emptyFolderPlaceholder",
        "100%/a+b&c=d?.txt",
        "v1.",
        "\U0001f469‍\U0001f469",
    ],
)
def test_ordinary_names_are_kept(name: str):
    assert file_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a//b",
        "/a",
        "a/",
        "..",
        "a/../b",
        "a/./b",
        "a/.../b",
        "a\x00b",
        "a\nb",
        "a\x7fb",
        "a\\b",
        "a" * 1025,
        "ü" * 513,
        "evil\u202egnp.exe",
        "zero\u200bwidth",
        "\ufeffbom",
        "half\ud800",
        "lost\ufffd",
        " a",
        "a /b",
        "a\u2028b",
    ],
)
def test_deceptive_names_are_refused(name: str):
    with pytest.raises(FileNameInvalid):
        file_name(name)


def test_one_name_however_it_is_typed():
    decomposed = unicodedata.normalize("NFD", "ü.txt")
    assert decomposed != "ü.txt"
    assert file_name(decomposed) == "ü.txt"


@pytest.mark.parametrize("name", ["", "_ours", "..", "a/b", "a" * 101, " a", "ü", "a\x00"])
def test_bucket_names_are_refused(name: str):
    with pytest.raises(BucketNameInvalid):
        bucket_name(name)


def test_names_in_headers_break_out_of_nothing():
    header = disposition("attachment", 'a/"quoted"\u202e; x=1\r\nEvil: yes ü.txt')
    assert header.isascii()
    assert "\r" not in header
    assert header.count('"') == 2
