"""The row clients of other projects against the whole platform: keys, tokens, row security."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from postgrest import APIError
from supabase import Client, ClientOptions, create_client

from tests.contracts.conftest import RunNode, Shop

# supabase-py warns of its own way to make its postgrest client
pytestmark = pytest.mark.filterwarnings("ignore:The '\\w+' parameter is deprecated")


Connect = Callable[..., Client]


@pytest.fixture
def connect(shop: Shop) -> Iterator[Connect]:
    """Make a client as an application does, and close its connections at the end."""
    with httpx.Client(timeout=60) as http:

        def make(key: str, **headers: str) -> Client:
            options = ClientOptions(httpx_client=http, headers=headers)
            return create_client(shop.url, key, options)

        yield make


@pytest.fixture
def supabase(shop: Shop, connect: Connect) -> Client:
    """The client of somebody who is signed in."""
    return connect(shop.anon_key, Authorization=f"Bearer {shop.access_token}")


def test_postgrest_js_and_supabase_js_work_unchanged(run_node: RunNode):
    run_node("rows.test.mjs")


def test_supabase_py_writes_and_reads_its_own_rows(supabase: Client):
    goods = supabase.table("goods")
    made = goods.insert([{"id": 101, "name": "lamp", "price": 12.5, "labels": ["light"]}]).execute()
    assert made.data[0]["labels"] == ["light"]
    merged = goods.upsert({"id": 101, "name": "lamp", "price": 13}).execute()
    assert merged.data[0]["price"] == 13
    changed = supabase.table("goods").update({"price": 14}).eq("id", 101).execute()
    assert changed.data[0]["price"] == 14
    read = supabase.table("goods").select("id, name, shops(name)", count="exact").eq("id", 101)
    assert read.execute().data == [{"id": 101, "name": "lamp", "shops": None}]
    assert supabase.table("goods").delete().eq("id", 101).execute().data[0]["id"] == 101


def test_supabase_py_with_the_anon_key_alone_sees_nothing(shop: Shop, connect: Connect):
    anonymous = connect(shop.anon_key)
    with pytest.raises(APIError) as refused:
        anonymous.table("goods").select("*").execute()
    assert refused.value.code == "42501"


def test_supabase_py_with_the_service_key_sees_everything(
    shop: Shop, supabase: Client, connect: Connect
):
    supabase.table("goods").insert({"id": 102, "name": "hidden"}).execute()
    service = connect(shop.service_key)
    assert service.table("goods").select("name").eq("id", 102).execute().data == [
        {"name": "hidden"}
    ]
    service.table("goods").delete().eq("id", 102).execute()


def test_supabase_py_gets_the_errors_it_can_parse(supabase: Client):
    with pytest.raises(APIError) as refused:
        supabase.table("goods").select("nothing").execute()
    assert refused.value.code == "42703"
    with pytest.raises(APIError) as refused:
        supabase.rpc("nothing", {}).execute()
    assert refused.value.code == "PGRST202"
