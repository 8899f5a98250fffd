"""Prometheus metrics of files; requests are counted with those of the other planes."""

from prometheus_client import Counter

_BYTES = Counter("undercroft_storage_bytes_total", "Bytes of files, in and out.", ("direction",))
_SWEPT = Counter("undercroft_storage_swept_total", "Blobs removed from the backend.")
_IMAGES = Counter("undercroft_storage_images_total", "Images resized, by outcome.", ("outcome",))

bytes_in = _BYTES.labels("in")
bytes_out = _BYTES.labels("out")
images_rendered = _IMAGES.labels("rendered")
images_refused = _IMAGES.labels("refused")
swept = _SWEPT
