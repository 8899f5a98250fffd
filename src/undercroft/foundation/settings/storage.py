"""Where files are kept and how large they may get."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import ByteSize, Field, SecretStr, model_validator

from undercroft.foundation.settings.group import SettingsGroup


class S3Settings(SettingsGroup):
    """Any store that speaks S3. Unset credentials: those of the machine's role."""

    bucket: str = Field("", description="Bucket of the store that holds all files.")
    region: str = Field("us-east-1", description="Region of the bucket.")
    endpoint: str | None = Field(
        None, description="Address of a store that is not Amazon's: MinIO, R2, Ceph."
    )
    access_key_id: SecretStr | None = Field(None)
    secret_access_key: SecretStr | None = Field(None)
    virtual_hosted: bool = Field(False, description="The bucket's name is part of the host's.")


class GcsSettings(SettingsGroup):
    bucket: str = Field("", description="Bucket that holds all files.")
    service_account_key: SecretStr | None = Field(
        None, description="JSON of a service account. Unset: the machine's own."
    )
    endpoint: str | None = Field(None, description="Another address than Google's, for tests.")


class AzureSettings(SettingsGroup):
    container: str = Field("", description="Container that holds all files.")
    account: str = Field("", description="Storage account.")
    access_key: SecretStr | None = Field(None, description="Unset: the machine's identity.")
    endpoint: str | None = Field(None, description="Another address than Azure's.")


class StorageSettings(SettingsGroup):
    backend: Literal["disk", "s3", "gcs", "azure"] = Field(
        "disk", description="Where bytes are kept."
    )
    directory: Path | None = Field(
        None,
        description="Of the backend `disk`; the same for every node. Unset: files/ in the home.",
    )
    prefix: str = Field("", description="Path inside the bucket or container of a store.")
    s3: S3Settings = S3Settings()
    gcs: GcsSettings = GcsSettings()
    azure: AzureSettings = AzureSettings()
    max_object_bytes: ByteSize = Field(
        ByteSize(5_000_000_000), description="Largest file; buckets may set less."
    )
    organization_quota: ByteSize | None = Field(
        None, description="Bytes an organization may keep, unless it has a figure of its own."
    )
    staging_lifetime: timedelta = Field(
        timedelta(hours=24), description="Longest upload; what it left is swept afterwards."
    )
    resumable_lifetime: timedelta = Field(
        timedelta(hours=24), description="How long an unfinished resumable upload can go on."
    )
    resumable_patience: timedelta = Field(
        timedelta(seconds=20),
        gt=timedelta(0),
        description="How long a request of a resumable upload may bring nothing; then it is ended,"
        " and what came is kept.",
    )
    max_upload_pieces: int = Field(
        5000, ge=1, description="Requests in which a resumable upload may come."
    )
    removal_grace: timedelta = Field(
        timedelta(minutes=5),
        description="From a file's removal to that of its bytes, so that readers can finish.",
    )
    signed_upload_lifetime: timedelta = Field(
        timedelta(hours=2), description="Of signed upload URLs."
    )
    longest_signed_url: timedelta = Field(
        timedelta(days=3650), description="Longest life of a signed URL."
    )
    pool_size: int = Field(4, ge=1, description="Connections a worker opens to look files up.")
    image_threads: int = Field(
        1, ge=1, description="Images a worker resizes at once; the rest wait their turn."
    )
    image_queue: int = Field(
        16, ge=1, description="Callers that may wait for an image before others get 503."
    )
    max_image_bytes: ByteSize = Field(
        ByteSize(25_000_000), description="Largest file that is resized."
    )
    max_image_pixels: int = Field(
        50_000_000, ge=1, description="Most pixels of an image that is resized."
    )
    max_image_side: int = Field(
        2500, ge=1, description="Largest width and height that may be asked for."
    )

    @model_validator(mode="after")
    def _a_store_is_named(self) -> Self:
        needed = {
            "s3": ("S3__BUCKET", self.s3.bucket),
            "gcs": ("GCS__BUCKET", self.gcs.bucket),
            "azure": ("AZURE__CONTAINER", self.azure.container),
        }
        name, value = needed.get(self.backend, ("", "none"))
        if not value:
            message = f"UNDERCROFT_STORAGE__{name} must be set for the backend {self.backend}"
            raise ValueError(message)
        return self
