"""Aggregating rows, of the table itself and across embeds and spreads."""

import httpx
import pytest

from tests.fixtures.rows import check
from undercroft.data.rest import RestConfig

AGGREGATES = {
    "count": ("/books?select=count()", [{"count": 5}]),
    "count_alias": ("/books?select=n:count()", [{"n": 5}]),
    "count_column": ("/books?select=price.count()", [{"count": 4}]),
    "sum": ("/measures?select=amount.sum()", [{"sum": 60}]),
    "all_five": (
        "/measures?select=amount.sum(),amount.avg()::int,amount.max(),amount.min(),count()",
        [{"sum": 60, "avg": 20, "max": 30, "min": 10, "count": 3}],
    ),
    "grouped": (
        "/measures?select=place,amount.sum()&order=place",
        [{"place": "north", "sum": 40}, {"place": "south", "sum": 20}],
    ),
    "group_renamed": (
        "/measures?select=where:place,total:amount.sum()&order=place",
        [{"where": "north", "total": 40}, {"where": "south", "total": 20}],
    ),
    "group_named_like_a_column": (
        "/measures?select=place:day,amount.sum()&order=day",
        [{"place": 1, "sum": 30}, {"place": 2, "sum": 30}],
    ),
    "input_cast": ("/measures?select=amount::text.max()", [{"max": "30"}]),
    "output_cast": ("/measures?select=amount.sum()::text", [{"sum": "60"}]),
    "both_casts": ("/measures?select=ratio::int.sum()::text", [{"sum": "4"}]),
    "count_cast": ("/measures?select=count()::text", [{"count": "3"}]),
    "json_path": ("/books?select=facts->size->>w::int.sum()", [{"sum": 23}]),
    "group_by_json": (
        "/books?select=facts->>language,count()&facts=not.is.null&order=facts->>language",
        [
            {"language": "en", "count": 1},
            {"language": "es", "count": 1},
            {"language": "it", "count": 2},
        ],
    ),
    "filtered": ("/measures?select=amount.sum()&place=eq.north", [{"sum": 40}]),
    "inside_an_embed": (
        "/authors?select=name,books(count())&order=id&limit=2",
        [{"name": "Ursula", "books": [{"count": 2}]}, {"name": "Italo", "books": [{"count": 2}]}],
    ),
    "inside_an_embed_grouped": (
        "/authors?select=id,books(in_print,pages.sum())&id=eq.2",
        [{"id": 2, "books": [{"in_print": True, "sum": 318}]}],
    ),
    "grouped_by_an_embed": (
        "/books?select=authors(name),pages.sum()&author_id=in.(2,3)&order=author_id",
        None,
    ),
    "grouped_by_a_to_one_embed": (
        "/books?select=pages.sum(),publishers(name)&publisher_id=eq.2",
        [{"sum": 318, "publishers": {"name": "Einaudi"}}],
    ),
    "spread_grouped": (
        "/books?select=...authors(name),pages.sum()&author_id=eq.2",
        [{"name": "Italo", "sum": 318}],
    ),
    "spread_hoisted": (
        "/reviews?select=reader_id,...books(pages.sum())&order=reader_id&limit=2",
        [{"reader_id": 1, "sum": 506}, {"reader_id": 2, "sum": 341}],
    ),
    "spread_hoisted_alias": (
        "/reviews?select=reader_id,...books(total:pages.sum())&reader_id=eq.1",
        [{"reader_id": 1, "total": 506}],
    ),
    "spread_hoisted_twice": (
        "/reviews?select=reader_id,...books(...publishers(n:id.count()))&reader_id=eq.1",
        [{"reader_id": 1, "n": 2}],
    ),
    "spread_count": (
        "/reviews?select=reader_id,...books(count())&reader_id=eq.1",
        [{"reader_id": 1, "count": 2}],
    ),
    "spread_hoisted_past_an_embed": (
        "/reviews?select=...books(author_id,authors(name),pages.sum())&order=books(author_id)",
        [
            {"author_id": 1, "authors": {"name": "Ursula"}, "sum": 682},
            {"author_id": 2, "authors": {"name": "Italo"}, "sum": 318},
        ],
    ),
    "of_a_function": ("/rpc/pairs?n=3&select=square.sum()", [{"sum": 14}]),
}


@pytest.mark.parametrize("name", AGGREGATES)
async def test_aggregate(rows: httpx.AsyncClient, name: str):
    await check(rows, *AGGREGATES[name])


async def test_aggregates_in_a_to_many_spread(rows: httpx.AsyncClient):
    response = await rows.get("/authors?select=id,...books(pages.sum())")
    assert (response.status_code, response.json()["code"]) == (400, "PGRST127")


async def test_aggregates_switched_off(make_rows):
    rows = await make_rows(RestConfig(schemas=("library",), anon_role="rows_anon"))
    for select in ("count()", "id.sum()", "authors(count())", "...authors(id.max())"):
        response = await rows.get(f"/books?select={select}")
        assert response.status_code == 400
        assert response.json()["code"] == "PGRST123"
        assert response.json()["message"] == "Use of aggregate functions is not allowed"
