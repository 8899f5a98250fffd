"""Writing rows that may be there already: upsert and PUT."""

import httpx
import pytest

from tests.fixtures.rows import FULL


class TestUpsert:
    async def test_merge(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers",
            json=[{"id": 1, "name": "Ace II"}, {"id": 9, "name": "New"}],
            headers={"Prefer": "return=representation,resolution=merge-duplicates"},
        )
        assert response.status_code == 201
        assert response.json() == [{"id": 1, "name": "Ace II"}, {"id": 9, "name": "New"}]
        assert response.headers["preference-applied"] == (
            "resolution=merge-duplicates, return=representation"
        )

    async def test_merge_without_a_new_row_is_200(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers",
            json=[{"id": 1, "name": "Ace II"}],
            headers={"Prefer": "resolution=merge-duplicates"},
        )
        assert response.status_code == 200

    @pytest.mark.parametrize("table", ["publishers", "keyless"])
    async def test_merge_of_nothing_is_200(self, dry: httpx.AsyncClient, table: str):
        headers = {"Prefer": "resolution=merge-duplicates"}
        assert (await dry.post(f"/{table}", json=[], headers=headers)).status_code == 200

    async def test_ignore(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers",
            json=[{"id": 1, "name": "Ace II"}, {"id": 9, "name": "New"}],
            headers={"Prefer": "return=representation,resolution=ignore-duplicates"},
        )
        assert response.status_code == 201
        assert response.json() == [{"id": 9, "name": "New"}]

    async def test_on_conflict_names_another_key(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/publishers?on_conflict=name",
            json={"id": 1, "name": "Ace"},
            headers={"Prefer": "return=representation,resolution=merge-duplicates"},
        )
        assert response.json() == [{"id": 1, "name": "Ace"}]

    async def test_on_conflict_without_such_a_key(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/authors?on_conflict=name",
            json={"id": 1, "name": "x"},
            headers={"Prefer": "resolution=merge-duplicates"},
        )
        assert (response.status_code, response.json()["code"]) == (400, "42P10")

    async def test_a_table_without_a_key_just_inserts(self, dry: httpx.AsyncClient):
        response = await dry.post(
            "/keyless", json={"a": "x"}, headers={"Prefer": "resolution=merge-duplicates"}
        )
        assert response.status_code == 201
        assert "preference-applied" not in response.headers


class TestPut:
    async def test_inserts(self, dry: httpx.AsyncClient):
        body = {"id": 9, "name": "New"}
        response = await dry.put("/publishers?id=eq.9", json=body, headers=FULL)
        assert (response.status_code, response.json()) == (201, [body])

    async def test_replaces(self, dry: httpx.AsyncClient):
        body = {"id": 1, "name": "New"}
        response = await dry.put("/publishers?id=eq.1", json=body, headers=FULL)
        assert (response.status_code, response.json()) == (200, [body])
        response = await dry.put("/publishers?id=eq.1", json=body)
        assert (response.status_code, response.content) == (204, b"")

    async def test_composite_key(self, dry: httpx.AsyncClient):
        body = {"shelf": 1, "place": 1, "book": "z", "amount": 9}
        response = await dry.put("/stock?shelf=eq.1&place=eq.1", json=body, headers=FULL)
        assert (response.status_code, response.json()) == (200, [body])

    async def test_must_name_the_key_and_only_it(self, dry: httpx.AsyncClient):
        for query in ("", "?name=eq.x", "?id=eq.1&name=eq.x", "?id=gt.1", "?id=not.eq.1"):
            response = await dry.put(f"/publishers{query}", json={"id": 1, "name": "x"})
            assert (response.status_code, response.json()["code"]) == (405, "PGRST105")

    async def test_must_agree_with_its_url(self, dry: httpx.AsyncClient):
        response = await dry.put("/publishers?id=eq.9", json={"id": 8, "name": "x"})
        assert (response.status_code, response.json()["code"]) == (400, "PGRST115")

    async def test_takes_no_limit(self, dry: httpx.AsyncClient):
        response = await dry.put("/publishers?id=eq.9&limit=1", json={"id": 9, "name": "x"})
        assert (response.status_code, response.json()["code"]) == (400, "PGRST114")
