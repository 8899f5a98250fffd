"""S3, Google Cloud Storage and Azure through `obstore`."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import obstore
import orjson
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import AzureStore, GCSStore, ObjectStore, S3Store
from pydantic import SecretStr

from undercroft.foundation.settings.storage import StorageSettings
from undercroft.storage.backends import (
    CHUNK_BYTES,
    BackendDown,
    BytesMissing,
    Entry,
    NoSpaceLeft,
)

# Stores want parts of at least 5 MiB and take ten thousand: 80 GB. Two under way at once keep an
# upload under 25 MB of memory.
PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2
PROBE = "probe"
FULL = ("507", "InsufficientStorage", "QuotaExceeded", "XMinioStorageFull")


def open_store(settings: StorageSettings) -> ObjectStore:
    """The object store that the settings describe."""
    prefix = settings.prefix.strip("/") or None
    retry: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
    match settings.backend:
        case "s3":
            found = settings.s3
            options: dict[str, Any] = {
                "region": found.region,
                "endpoint": found.endpoint,
                "access_key_id": _open(found.access_key_id),
                "secret_access_key": _open(found.secret_access_key),
                "virtual_hosted_style_request": found.virtual_hosted,
            }
            return S3Store(
                found.bucket,
                prefix=prefix,
                retry_config=retry,
                client_options=_plain(found.endpoint),
                **_given(options),
            )
        case "gcs":
            endpoint = settings.gcs.endpoint
            key = _open(settings.gcs.service_account_key)
            return GCSStore(
                settings.gcs.bucket,
                prefix=prefix,
                retry_config=retry,
                client_options=_plain(endpoint),
                **_given({"service_account_key": key or (endpoint and _nobody(endpoint))}),
            )
        case _:
            options = {
                "account_name": settings.azure.account,
                "account_key": _open(settings.azure.access_key),
                "endpoint": settings.azure.endpoint,
            }
            return AzureStore(
                settings.azure.container,
                prefix=prefix,
                retry_config=retry,
                client_options=_plain(settings.azure.endpoint),
                **_given(options),
            )


class Store:
    """An object store; its own retries have been made when an error arrives here."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def write(self, key: str, content: AsyncIterator[bytes]) -> int:
        counted = _Gathered(content)
        first = await counted.take()
        with _explained():
            if counted.ended:
                await obstore.put_async(self._store, key, first, use_multipart=False)
            else:
                await obstore.put_async(
                    self._store,
                    key,
                    counted.rest(first),
                    chunk_size=PART_BYTES,
                    max_concurrency=PARTS_AT_ONCE,
                )
        return counted.size

    async def write_small(self, key: str, content: bytes) -> None:
        with _explained():
            await obstore.put_async(self._store, key, content, use_multipart=False)

    async def read(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        if start >= end:
            return
        with _explained():
            found = await obstore.get_async(self._store, key, options={"range": (start, end)})
            left = end - start
            async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                left -= len(chunk)
                yield bytes(chunk)
        if left:
            raise BytesMissing(f"{key} is shorter than expected")

    async def read_small(self, key: str, size: int) -> bytes:
        if not size:
            return b""
        with _explained():
            content = await obstore.get_range_async(self._store, key, start=0, length=size)
        if len(content) < size:
            raise BytesMissing(f"{key} is shorter than expected")
        return bytes(content)

    async def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            try:
                with _explained():
                    await obstore.delete_async(self._store, key)
            except BytesMissing:
                continue

    async def entries(self, prefix: str = "") -> AsyncIterator[Entry]:
        with _explained():
            async for batch in obstore.list(self._store, prefix or None):
                for found in batch:
                    yield Entry(found["path"], found["size"], found["last_modified"])

    async def tidy(self) -> int:
        return 0  # the store ends unfinished uploads by its own rules (docs/guides/files.md)

    async def check(self) -> None:
        with _explained():
            await obstore.put_async(self._store, PROBE, b"ok", use_multipart=False)
            await obstore.head_async(self._store, PROBE)

    def close(self) -> None:
        """Connections close with the process."""


class _Gathered:
    """Chunks put together to parts, and counted."""

    def __init__(self, content: AsyncIterator[bytes]) -> None:
        self._content = content
        self.size = 0
        self.ended = False

    async def take(self) -> bytes:
        """Up to a part; less when the content ends."""
        part = bytearray()
        while len(part) < PART_BYTES:
            try:
                part += await anext(self._content)
            except StopAsyncIteration:
                self.ended = True
                break
        self.size += len(part)
        return bytes(part)

    async def rest(self, first: bytes) -> AsyncIterator[bytes]:
        yield first
        while not self.ended:
            if part := await self.take():
                yield part


def _open(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _nobody(endpoint: str) -> str:
    """A service account for a server of one's own that asks for none."""
    account = {"gcs_base_url": endpoint, "disable_oauth": True}
    unused = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    return orjson.dumps(account | unused).decode()


def _plain(endpoint: str | None) -> Any:
    """Only an address that says http:// is spoken to without TLS."""
    return {"allow_http": bool(endpoint and endpoint.startswith("http://"))}


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise BytesMissing(str(error)) from error
    except BaseError as error:
        kind = NoSpaceLeft if any(word in str(error) for word in FULL) else BackendDown
        raise kind(str(error)) from error
