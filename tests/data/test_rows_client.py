"""The rows API driven by a client library that was written for PostgREST."""

from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from postgrest import APIError, AsyncPostgrestClient, CountMethod

from tests.fixtures.rows import CONFIG, MakeRowsApp
from undercroft.data.rest import TransactionEnd


@pytest_asyncio.fixture(scope="module")
async def client(make_rows_app: MakeRowsApp) -> AsyncPostgrestClient:
    """A client whose writes are undone."""
    app = await make_rows_app(replace(CONFIG, tx_end=TransactionEnd.ROLLBACK))
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://rows.test")
    return AsyncPostgrestClient("http://rows.test", schema="library", http_client=http)


async def test_select(client: AsyncPostgrestClient):
    answer = await client.table("authors").select("name, books(title)").eq("id", 3).execute()
    assert answer.data == [{"name": "Jorge", "books": [{"title": "Ficciones"}]}]


async def test_count_and_range(client: AsyncPostgrestClient):
    books = client.table("books").select("id", count=CountMethod.exact)
    answer = await books.order("id", desc=True).range(1, 2).execute()
    assert answer.count == 5
    assert [row["id"] for row in answer.data] == [4, 3]


async def test_filters(client: AsyncPostgrestClient):
    books = client.table("books").select("id").order("id")
    answer = await books.or_("id.eq.1,title.ilike.*heaven*").not_.is_("title", "null").execute()
    assert [row["id"] for row in answer.data] == [1, 4]
    books = client.table("books").select("id").order("id")
    answer = await books.contains("labels", ["novel"]).in_("id", [1, 2, 3]).execute()
    assert 1 in [row["id"] for row in answer.data]


async def test_single(client: AsyncPostgrestClient):
    answer = await client.table("readers").select("*").eq("id", 1).single().execute()
    assert answer.data == {"id": 1, "name": "Ada"}
    missing = await client.table("readers").select("*").eq("id", 99).maybe_single().execute()
    assert missing is None
    with pytest.raises(APIError) as refused:
        await client.table("readers").select("*").single().execute()
    assert refused.value.code == "PGRST116"


async def test_csv(client: AsyncPostgrestClient):
    answer = await client.table("readers").select("name").lt("id", 3).order("id").csv().execute()
    assert answer.data == "name\nAda\nBen"


async def test_insert(client: AsyncPostgrestClient):
    answer = await client.table("readers").insert([{"id": 50, "name": "Dot"}]).execute()
    assert answer.data == [{"id": 50, "name": "Dot"}]


async def test_upsert(client: AsyncPostgrestClient):
    readers = client.table("readers")
    answer = await readers.upsert({"id": 1, "name": "Ada L."}, on_conflict="id").execute()
    assert answer.data == [{"id": 1, "name": "Ada L."}]


async def test_update_and_delete(client: AsyncPostgrestClient):
    answer = await client.table("readers").update({"name": "Bea"}).eq("id", 2).execute()
    assert answer.data == [{"id": 2, "name": "Bea"}]
    answer = await client.table("keyless").delete(count=CountMethod.exact).eq("b", 1).execute()
    assert (answer.data, answer.count) == ([{"a": "x", "b": 1}], 1)


async def test_rpc(client: AsyncPostgrestClient):
    answer = await client.rpc("add", {"a": 1, "b": 2}).execute()
    assert answer.data == 3
    answer = await client.rpc("add", {"a": 1, "b": 2}, get=True).execute()
    assert answer.data == 3
    answer = await client.rpc("books_by", {"writer": 3}).select("title").execute()
    assert answer.data == [{"title": "Ficciones"}]


async def test_explain(client: AsyncPostgrestClient):
    plan = await client.table("readers").select("*").explain().execute()
    assert "readers" in str(plan)


async def test_an_error(client: AsyncPostgrestClient):
    with pytest.raises(APIError) as refused:
        await client.table("reader").select("*").execute()
    assert refused.value.code == "PGRST205"
    assert refused.value.hint == "Perhaps you meant the table 'library.readers'"
