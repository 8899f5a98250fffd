"""What becomes of a write: when it is there, when it is taken back, and how much it may change."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.rows import CONFIG, MakeRows, RowsDatabase
from undercroft.data.rest import TransactionEnd


@pytest_asyncio.fixture
async def loans(rows_database: RowsDatabase) -> AsyncIterator[None]:
    await rows_database.run("truncate library.loans restart identity")
    yield
    await rows_database.run("truncate library.loans restart identity")


class TestTransactions:
    @pytest.mark.usefixtures("loans")
    async def test_a_write_is_there_when_the_answer_is(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        for number in range(3):  # prepared at the first, executed by name from then on
            response = await rows.post("/loans", json={"note": f"n{number}"})
            assert response.status_code == 201
        assert await rows_database.run("select count(*) from library.loans") == 3

    async def test_rollback_mode_keeps_nothing(
        self, dry: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        await dry.post("/loans", json={"note": "gone"})
        assert await rows_database.run("select count(*) from library.loans") == 0

    @pytest.mark.usefixtures("loans")
    async def test_tx_is_ignored_unless_allowed(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        response = await rows.post("/loans", json={}, headers={"Prefer": "tx=rollback"})
        assert "preference-applied" not in response.headers
        assert await rows_database.run("select count(*) from library.loans") == 1

    @pytest.mark.usefixtures("loans")
    async def test_tx_rollback_and_commit(self, make_rows: MakeRows, rows_database: RowsDatabase):
        client = await make_rows(replace(CONFIG, tx_end=TransactionEnd.COMMIT_ALLOW_OVERRIDE))
        response = await client.post(
            "/loans?select=note",
            json={"note": "x"},
            headers={"Prefer": "tx=rollback,return=representation"},
        )
        assert response.json() == [{"note": "x"}]
        assert response.headers["preference-applied"] == "return=representation, tx=rollback"
        assert await rows_database.run("select count(*) from library.loans") == 0
        await client.post("/loans", json={}, headers={"Prefer": "tx=commit"})
        assert await rows_database.run("select count(*) from library.loans") == 1

    @pytest.mark.usefixtures("loans")
    async def test_a_large_body_is_bound(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase
    ):
        body = [{"note": f"n{number}", "reader_id": 1} for number in range(5000)]
        response = await rows.post("/loans", json=body, headers={"Prefer": "count=exact"})
        assert (response.status_code, response.headers["content-range"]) == (201, "*/5000")
        assert await rows_database.run("select count(*) from library.loans") == 5000


class TestMaxAffected:
    @pytest.mark.parametrize("method", ["patch", "delete"])
    async def test_refuses_more(
        self, rows: httpx.AsyncClient, rows_database: RowsDatabase, method: str
    ):
        headers = {"Prefer": "handling=strict,max-affected=1"}
        body = {"json": {"stars": 9}} if method == "patch" else {}
        response = await getattr(rows, method)("/reviews?stars=gt.0", headers=headers, **body)
        assert response.status_code == 400
        assert response.json() == {
            "code": "PGRST124",
            "message": "Query result exceeds max-affected preference constraint",
            "details": "The query affects 4 rows",
            "hint": None,
        }
        assert await rows_database.run("select sum(stars) from library.reviews") == 13

    async def test_lets_that_many_pass(self, dry: httpx.AsyncClient):
        response = await dry.delete(
            "/reviews?stars=eq.5", headers={"Prefer": "handling=strict,max-affected=1"}
        )
        assert response.status_code == 204
        assert response.headers["preference-applied"] == "handling=strict, max-affected=1"

    async def test_is_lenient_by_default(self, dry: httpx.AsyncClient):
        response = await dry.delete("/reviews?stars=gt.0", headers={"Prefer": "max-affected=1"})
        assert response.status_code == 204
        assert "preference-applied" not in response.headers
