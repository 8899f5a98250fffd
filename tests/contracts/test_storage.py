"""Storage with Supabase's own clients and the tus clients, unchanged."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from storage3 import SyncStorageClient
from storage3.exceptions import StorageApiError
from tusclient.client import TusClient

from tests.contracts.conftest import RunNode, Shop

numbers = itertools.count()


def test_storage_js_and_tus_js_client(run_node: RunNode):
    run_node("storage.test.mjs")


@pytest.fixture
def storage(shop: Shop) -> Iterator[SyncStorageClient]:
    """storage3 with the service key."""
    headers = {"apikey": shop.service_key, "Authorization": f"Bearer {shop.service_key}"}
    with httpx.Client(timeout=60) as client:
        yield SyncStorageClient(f"{shop.url}/storage/v1/", headers, http_client=client)


@pytest.fixture
def bucket(storage: SyncStorageClient) -> str:
    name = f"py-{next(numbers)}"
    storage.create_bucket(name)
    return name


class TestStorage3:
    def test_buckets(self, storage: SyncStorageClient):
        name = f"py-{next(numbers)}"
        options = {"public": True, "file_size_limit": 1000, "allowed_mime_types": ["image/png"]}
        assert storage.create_bucket(name, options=options)["name"] == name
        found = storage.get_bucket(name)
        assert (found.public, found.file_size_limit) == (True, 1000)
        assert found.allowed_mime_types == ["image/png"]
        assert name in [bucket.id for bucket in storage.list_buckets()]
        storage.update_bucket(name, {"public": False, "allowed_mime_types": ["text/plain"]})
        assert storage.get_bucket(name).public is False
        with pytest.raises(StorageApiError) as refused:
            storage.create_bucket(name)
        assert refused.value.status == "409"
        storage.from_(name).upload("a.txt", b"a", {"content-type": "text/plain"})
        storage.empty_bucket(name)
        storage.delete_bucket(name)
        with pytest.raises(StorageApiError) as gone:
            storage.get_bucket(name)
        assert gone.value.code == "Bucket not found"

    def test_files(self, storage: SyncStorageClient, bucket: str, tmp_path: Path):
        files = storage.from_(bucket)
        local = tmp_path / "local.txt"
        local.write_bytes(b"from a path")
        done = files.upload(
            "dir/a b ü.txt",
            b"hello",
            {"content-type": "text/plain", "cache-control": "60", "metadata": {"k": "v"}},
        )
        assert done.full_path == f"{bucket}/dir/a b ü.txt"
        files.upload("path.txt", local)
        files.upload("handle.txt", io.BufferedReader(io.BytesIO(b"handle")))
        assert files.download("dir/a b ü.txt") == b"hello"
        info = files.info("dir/a b ü.txt")
        assert (info["metadata"], info["cache_control"]) == ({"k": "v"}, "max-age=60")
        assert files.exists("path.txt")
        assert not files.exists("nothing.txt")
        with pytest.raises(StorageApiError) as taken:
            files.upload("path.txt", b"x")
        assert taken.value.code == "Duplicate"
        files.upload("path.txt", b"two", {"upsert": "true"})
        files.update("handle.txt", b"three")
        assert (files.download("path.txt"), files.download("handle.txt")) == (b"two", b"three")
        files.copy("path.txt", "copy.txt")
        files.move("handle.txt", "moved.txt")
        names = [entry["name"] for entry in files.list()]
        assert names == ["dir", "copy.txt", "moved.txt", "path.txt"]
        assert [entry["name"] for entry in files.list("dir")] == ["a b ü.txt"]
        page = files.list_v2({"limit": 2})
        rest = files.list_v2({"limit": 10, "cursor": page.nextCursor})
        assert [f.name for f in (*page.objects, *rest.objects)] == [
            "copy.txt",
            "dir/a b ü.txt",
            "moved.txt",
            "path.txt",
        ]
        assert [entry["name"] for entry in files.remove(["copy.txt"])] == ["copy.txt"]

    def test_urls(self, storage: SyncStorageClient, bucket: str):
        files = storage.from_(bucket)
        files.upload("dir/a b ü.txt", b"hello")
        url = files.create_signed_url("dir/a b ü.txt", 60, {"download": "x.txt"})["signedUrl"]
        answer = httpx.get(url)
        assert answer.content == b"hello"
        assert "x.txt" in answer.headers["content-disposition"]
        good, bad = files.create_signed_urls(["dir/a b ü.txt", "nothing"], 60)
        assert httpx.get(good["signedUrl"]).content == b"hello"
        assert bad["error"]
        upload = files.create_signed_upload_url("dir/new ü.txt")
        files.upload_to_signed_url("dir/new ü.txt", upload["token"], b"brought")
        assert files.download("dir/new ü.txt") == b"brought"
        storage.update_bucket(bucket, {"public": True})
        public = files.get_public_url("dir/a b ü.txt")
        assert httpx.get(public).content == b"hello"

    def test_images(self, storage: SyncStorageClient, bucket: str):
        picture = io.BytesIO()
        Image.new("RGB", (20, 10)).save(picture, "PNG")
        files = storage.from_(bucket)
        files.upload("a.png", picture.getvalue(), {"content-type": "image/png"})
        small = files.download("a.png", {"transform": {"width": 10}})
        assert Image.open(io.BytesIO(small)).size == (10, 5)
        signed = files.create_signed_url("a.png", 60, {"transform": {"width": 5, "height": 5}})
        assert Image.open(io.BytesIO(httpx.get(signed["signedUrl"]).content)).size == (5, 5)


class TestTusPy:
    def test_uploads_in_chunks_and_resumes(
        self, shop: Shop, storage: SyncStorageClient, bucket: str
    ):
        client = TusClient(
            f"{shop.url}/storage/v1/upload/resumable",
            headers={"Authorization": f"Bearer {shop.service_key}"},
        )
        content = bytes(range(256)) * 4000
        metadata = {"bucketName": bucket, "objectName": "large.bin"}
        first = client.uploader(
            file_stream=io.BytesIO(content),
            chunk_size=300_000,
            metadata=metadata,
            upload_checksum=True,
        )
        first.upload_chunk()
        again = client.uploader(file_stream=io.BytesIO(content), chunk_size=300_000, url=first.url)
        assert again.offset == 300_000
        again.upload()
        assert storage.from_(bucket).download("large.bin") == content
