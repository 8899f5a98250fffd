"""Domains that are cast to what they look like outside, as they are read, filtered and written."""

from dataclasses import replace

import httpx

from tests.fixtures.rows import CONFIG, MakeRows
from undercroft.data.rest import TransactionEnd


class TestRepresentations:
    async def test_read(self, rows: httpx.AsyncClient):
        response = await rows.get("/paints?select=id,shade&order=id")
        assert response.json() == [{"id": 1, "shade": "#000000"}, {"id": 2, "shade": "#87CEEB"}]
        response = await rows.get("/paints?id=eq.2")
        assert response.json() == [{"id": 2, "name": "sky", "shade": "#87CEEB"}]
        response = await rows.get("/paints?select=tone:shade&id=eq.2")
        assert response.json() == [{"tone": "#87CEEB"}]

    async def test_filter(self, rows: httpx.AsyncClient):
        for query in ("shade=eq.%2387CEEB", "shade=in.(%2387CEEB)", "or=(shade.eq.%2387CEEB)"):
            response = await rows.get(f"/paints?select=id&{query}")
            assert response.json() == [{"id": 2}]

    async def test_write(self, make_rows: MakeRows):
        rows = await make_rows(replace(CONFIG, tx_end=TransactionEnd.ROLLBACK))
        headers = {"Prefer": "return=representation"}
        body = {"id": 3, "name": "one", "shade": "#000001"}
        response = await rows.post("/paints", json=body, headers=headers)
        assert response.json() == [body]
        response = await rows.patch("/paints?id=eq.1", json={"shade": "#0000FF"}, headers=headers)
        assert response.json() == [{"id": 1, "name": "black", "shade": "#0000FF"}]
