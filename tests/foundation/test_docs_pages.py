"""The documentation's pages work without a network and under a strict policy."""

import re

import httpx
import pytest


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_load_nothing_from_elsewhere(client: httpx.AsyncClient, path: str):
    page = await client.get(path)
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded
    for address in loaded:
        assert address.startswith("/docs/assets/"), address
        asset = await client.get(address)
        assert asset.status_code == 200
        assert asset.headers["x-content-type-options"] == "nosniff"
    policy = page.headers["content-security-policy"]
    assert "http" not in policy
    assert "script-src 'self' 'sha256-" in policy or path == "/redoc"
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


async def test_other_files_are_not_served(client: httpx.AsyncClient):
    for name in ("..%2fcore.py", "core.py", "__init__.py"):
        assert (await client.get(f"/docs/assets/{name}")).status_code == 404
