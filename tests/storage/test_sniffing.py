"""What a file is taken for, by its content and what was said about it."""

import gzip
import io

import pytest
from PIL import Image

from undercroft.storage.sniffing import media_type_of


def image(kind: str) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(target, kind)
    return target.getvalue()


@pytest.mark.parametrize(
    ("content", "declared", "kept"),
    [
        (image("PNG"), "image/png", "image/png"),
        (image("PNG"), None, "image/png"),
        (image("JPEG"), "image/jpg", "image/jpeg"),
        (image("JPEG"), "text/html", "image/jpeg"),
        (image("WEBP"), "application/octet-stream", "image/webp"),
        (image("AVIF"), "image/avif", "image/avif"),
        (image("GIF"), "image/png", "image/gif"),
        (b"GIF89a/*<script>alert(1)</script>*/", "text/javascript", "text/javascript"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "image/png", "text/html"),
        (b"\xef\xbb\xbf \n<!-- x --><script>alert(1)</script>", "image/png", "text/html"),
        ("<html>".encode("utf-16"), "image/png", "text/html"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='x'/>", "image/png", "image/svg+xml"),
        (b"<svg/>", "image/svg+xml", "image/svg+xml"),
        (b"hello", "image/png", "text/plain"),
        (b"hello", "text/plain;charset=UTF-8", "text/plain; charset=utf-8"),
        (b"hello", "text/plain; charset=x\r\nset-cookie: a=b", "text/plain"),
        (b'{"a": 1}', "application/json", "application/json"),
        (b"a,b\n1,2\n", "text/csv", "text/csv"),
        (b"%PDF-1.7\n1 0 obj", "application/pdf", "application/pdf"),
        (b"%PDF-1.7\n1 0 obj", "image/png", "application/pdf"),
        (bytes(range(256)), "image/png", "application/octet-stream"),
        (bytes(range(256)), "text/html", "application/octet-stream"),
        (bytes(range(256)), "application/x-own", "application/x-own"),
        (bytes(range(256)), "application/pdf", "application/octet-stream"),
        (image("PNG"), "application/pdf", "image/png"),
        (b"\0\xff junk \0%PDF-1.7\n1 0 obj", "application/pdf", "application/pdf"),
        (gzip.compress(b"x" * 99, mtime=0), "application/zip", "application/gzip"),
        (gzip.compress(b"x" * 99, mtime=0), "application/x-own", "application/x-own"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(50), "audio/mp4", "audio/mp4"),
        (b"", "text/plain", "text/plain"),
        (b"", None, "application/octet-stream"),
        (b"x", "nonsense", "text/plain"),
        (b"x", "text/html\r\nX-Evil: 1", "text/plain"),
    ],
)
def test_types(content: bytes, declared: str | None, kept: str):
    assert media_type_of(content, declared) == kept
