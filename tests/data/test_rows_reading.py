"""Reading rows: columns, filters, order and windows."""

from dataclasses import replace

import httpx
import pytest

from tests.fixtures.rows import CONFIG


async def ids(rows: httpx.AsyncClient, query: str, table: str = "books") -> list[int]:
    response = await rows.get(f"/{table}?select=id&order=id&{query}")
    assert response.status_code == 200, response.text
    return [row["id"] for row in response.json()]


SELECTS = {
    "columns": ("/authors?select=id,name&id=eq.1", [{"id": 1, "name": "Ursula"}]),
    "star_and_column": (
        "/keyless?select=*,again:a&b=eq.1",
        [{"a": "x", "b": 1, "again": "x"}],
    ),
    "rename": ("/authors?select=who:name&id=eq.1", [{"who": "Ursula"}]),
    "cast": ("/authors?select=id::text&id=eq.1", [{"id": "1"}]),
    "rename_and_cast": ("/authors?select=n:id::text&id=eq.1", [{"n": "1"}]),
    "cast_of_two_words": (
        "/books?select=price::double precision&id=eq.1",
        [{"price": 12.5}],
    ),
    "json_key": ("/books?select=facts->language&id=eq.1", [{"language": "en"}]),
    "json_text": ("/books?select=facts->>language&id=eq.1", [{"language": "en"}]),
    "json_deep": ("/books?select=facts->size->w&id=eq.1", [{"w": 11}]),
    "json_array_index": ("/books?select=facts->awards->0&id=eq.1", [{"awards": "Hugo"}]),
    "json_negative_index": ("/books?select=facts->awards->>-1&id=eq.1", [{"awards": "Nebula"}]),
    "json_rename": ("/books?select=tongue:facts->>language&id=eq.2", [{"tongue": "it"}]),
    "json_cast": ("/books?select=facts->size->>w::int&id=eq.1", [{"w": 11}]),
    "json_of_plain_json_type": ("/books?select=raw->>a&id=eq.1", [{"a": "1"}]),
    "array_element": ("/books?select=labels->0&id=eq.1", [{"labels": "novel"}]),
    "computed_field": (
        "/books?select=id,full_title&id=eq.3",
        [{"id": 3, "full_title": "Ficciones (3)"}],
    ),
    "quoted_names": (
        '/Odd Nämes?select="a column","quo\\"te"',
        [{"a column": "spaced", 'quo"te': "quoted"}],
    ),
    "unquoted_name_with_a_space": ("/Odd Nämes?select=a column", [{"a column": "spaced"}]),
    "unicode": ("/Odd Nämes?select=kéy", [{"kéy": 1}]),
    "empty_select": ("/keyless?select=&b=eq.1", [{"a": "x", "b": 1}]),
    "composite": (
        "/branches?id=eq.1",
        [{"id": 1, "location": {"lat": "12", "long": "-7"}}],
    ),
    "composite_field": ("/branches?select=location->>lat&location->>long=eq.-7", [{"lat": "12"}]),
    "materialized_view": ("/book_titles?select=title&id=eq.3", [{"title": "Ficciones"}]),
    "partitioned_table": ("/events?select=id&order=id", [{"id": 1}, {"id": 2}]),
    "view": ("/book_list?select=writer&id=eq.1", [{"writer": 1}]),
    "spaces_in_list": ("/authors?select=id, name&id=eq.1", [{"id": 1, "name": "Ursula"}]),
}


@pytest.mark.parametrize("name", SELECTS)
async def test_select(rows: httpx.AsyncClient, name: str):
    path, expected = SELECTS[name]
    response = await rows.get(path)
    assert response.status_code == 200, response.text
    assert response.json() == expected


FILTERS = {
    "eq": ("id=eq.3", [3]),
    "neq": ("id=neq.3", [1, 2, 4, 5]),
    "gt": ("pages=gt.200", [1, 3]),
    "gte": ("pages=gte.203", [1, 3]),
    "lt": ("pages=lt.165", [5]),
    "lte": ("pages=lte.165", [2, 5]),
    "two_on_one_column": ("pages=gt.160&pages=lt.200", [2, 4]),
    "like": ("title=like.The*", [1, 4]),
    "like_percent": ("title=like.%25Cities", [2]),
    "ilike": ("title=ilike.*COS*", [5]),
    "match": ("title=match.^Fic", [3]),
    "imatch": ("title=imatch.^fic", [3]),
    "in": ("id=in.(1,3)", [1, 3]),
    "in_quoted": ('title=in.("Ficciones","Invisible Cities")', [2, 3]),
    "in_with_a_comma_in_quotes": ('title=in.("a,b",Ficciones)', [3]),
    "in_nothing": ("id=in.()", []),
    "not_in": ("id=not.in.(1,3)", [2, 4, 5]),
    "is_null": ("price=is.null", [4]),
    "is_not_null": ("price=not.is.null", [1, 2, 3, 5]),
    "is_not_null_word": ("price=is.not_null", [1, 2, 3, 5]),
    "is_true": ("in_print=is.true", [1, 2, 5]),
    "is_false": ("in_print=is.false", [3]),
    "is_unknown": ("in_print=is.unknown", [4]),
    "is_any_case": ("in_print=is.TRUE", [1, 2, 5]),
    "isdistinct": ("publisher_id=isdistinct.1", [2, 3, 5]),
    "fts": ("words=fts.utopia", [1]),
    "fts_language": ("words=fts(english).city", [2]),
    "plfts": ("words=plfts.memory walls", [2]),
    "plfts_language": ("words=plfts(english).cities memory", [2]),
    "phfts": ("words=phfts(english).ambiguous utopia", [1]),
    "wfts": ("words=wfts(english).walls -cities", [1]),
    "not_fts": ("words=not.fts(english).walls", [3]),
    "fts_on_text": ("title=fts(english).city", [2]),
    "fts_on_json": ("facts=fts.en", [1]),
    "fts_on_a_computed_field": ("title_words=fts(simple).of", [4]),
    "cs_array": ("labels=cs.{novel}", [1, 2]),
    "cs_json": ('facts=cs.{"language":"it"}', [2, 5]),
    "cd": ("labels=cd.{stories,science,other}", [3, 5]),
    "ov_array": ("labels=ov.{city,science}", [2, 5]),
    "ov_range": ("years=ov.[1950,1960]", [3]),
    "sl": ("years=sl.[1973,2000]", [3]),
    "sr": ("years=sr.(1900,1970)", [1, 2]),
    "nxr": ("years=nxr.(1900,1980)", [1, 3]),
    "nxl": ("years=nxl.[1965,2000]", [1, 2, 5]),
    "adj": ("years=adj.[1980,1985]", [1]),
    "not": ("id=not.eq.3", [1, 2, 4, 5]),
    "eq_any": ("id=eq(any).{1,2}", [1, 2]),
    "gt_all": ("pages=gt(all).{160,200}", [1, 3]),
    "like_any": ("title=like(any).{The*,Fic*}", [1, 3, 4]),
    "ilike_all": ("title=ilike(all).{*the*,*heaven*}", [4]),
    "not_like_any": ("title=not.like(any).{The*,Fic*}", [2, 5]),
    "match_any": ("title=match(any).{^The,s$}", [1, 2, 3, 4, 5]),
    "json_path": ("facts->>language=eq.it", [2, 5]),
    "json_path_number": ("facts->size->w=gt.11", [5]),
    "computed_field": ("full_title=eq.Ficciones (3)", [3]),
    "enum": ("binding=eq.soft", [1, 2, 3, 4, 5]),
    "and": ("and=(pages.gt.160,pages.lt.200)", [2, 4]),
    "or": ("or=(id.eq.1,id.eq.5)", [1, 5]),
    "not_or": ("not.or=(id.eq.1,id.eq.5)", [2, 3, 4]),
    "not_and": ("not.and=(id.gt.1,id.lt.5)", [1, 5]),
    "nested": ("or=(id.eq.1,and(pages.gt.160,not.or(id.eq.4,id.eq.3)))", [1, 2]),
    "not_inside": ("or=(id.not.gt.1,id.eq.5)", [1, 5]),
    "in_inside": ("or=(id.in.(1,2),title.like.Fic*)", [1, 2, 3]),
    "is_inside": ("or=(price.is.null,id.eq.1)", [1, 4]),
    "array_inside": ("or=(labels.cs.{novel,city},id.eq.5)", [2, 5]),
    "quoted_inside": ('or=(title.eq."Invisible Cities",id.eq.5)', [2, 5]),
    "json_inside": ("or=(facts->>language.eq.es,id.eq.5)", [3, 5]),
    "fts_inside": ("or=(words.fts(english).mirrors,id.eq.5)", [3, 5]),
    "any_inside": ("or=(id.eq(any).{1,2},id.eq.5)", [1, 2, 5]),
    "spaces_inside": ("or=( id.eq.1 , id.eq.5 )", [1, 5]),
    "two_trees": ("or=(id.eq.1,id.eq.2)&or=(id.eq.2,id.eq.3)", [2]),
    "percent_encoded": ("title=eq.Invisible%20Cities", [2]),
    "plus_is_space": ("title=eq.Invisible+Cities", [2]),
    "quote_in_value": ("title=eq.it's", []),
    "backslash_in_value": ("title=eq.a\\'b", []),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_filter(rows: httpx.AsyncClient, name: str):
    query, expected = FILTERS[name]
    assert await ids(rows, query) == expected


async def test_spaces_in_a_list_are_values(rows: httpx.AsyncClient):
    assert await ids(rows, "id=in.(    )") == []
    response = await rows.get("/books?id=in.( ,3,4)")
    assert (response.status_code, response.json()["code"]) == (400, "22P02")


class TestOddColumns:
    async def test_quoted_column_in_a_filter(self, rows: httpx.AsyncClient):
        response = await rows.get('/Odd Nämes?select=kéy&"dot.ted"=eq.dotted')
        assert response.json() == [{"kéy": 1}]

    async def test_quoted_column_in_a_tree(self, rows: httpx.AsyncClient):
        response = await rows.get('/Odd Nämes?select=kéy&or=("dot.ted".eq.dotted,kéy.eq.9)')
        assert response.json() == [{"kéy": 1}]


ORDERS = {
    "ascending": ("order=title", [5, 3, 2, 1, 4]),
    "descending": ("order=id.desc", [5, 4, 3, 2, 1]),
    "two_terms": ("order=price.desc,id.desc", [4, 1, 5, 2, 3]),
    "nulls_first": ("order=price.nullsfirst,id", [4, 3, 2, 5, 1]),
    "nulls_last": ("order=price.desc.nullslast,id", [1, 2, 5, 3, 4]),
    "json": ("order=facts->>language.desc.nullslast,id", [2, 5, 3, 1, 4]),
    "computed": ("order=full_title", [5, 3, 2, 1, 4]),
}


@pytest.mark.parametrize("name", ORDERS)
async def test_order(rows: httpx.AsyncClient, name: str):
    query, expected = ORDERS[name]
    response = await rows.get(f"/books?select=id&{query}")
    assert [row["id"] for row in response.json()] == expected


# query, headers → status, Content-Range, ids
WINDOWS = {
    "limit": ("limit=2", {}, 200, "0-1/*", [1, 2]),
    "offset": ("offset=3", {}, 200, "3-4/*", [4, 5]),
    "both": ("limit=2&offset=1", {}, 200, "1-2/*", [2, 3]),
    "range": ("", {"Range": "1-2"}, 200, "1-2/*", [2, 3]),
    "open_range": ("", {"Range": "3-"}, 200, "3-4/*", [4, 5]),
    "range_unit_is_ignored": ("", {"Range-Unit": "items", "Range": "0-0"}, 200, "0-0/*", [1]),
    "range_and_limit": ("limit=4", {"Range": "2-9"}, 200, "2-3/*", [3, 4]),
    "nonsense_range": ("", {"Range": "bytes=0-1"}, 200, "0-4/*", [1, 2, 3, 4, 5]),
    "beyond": ("offset=9", {}, 200, "*/*", []),
    "limit_zero": ("limit=0", {}, 200, "*/*", []),
    "exact": ("", {"Prefer": "count=exact"}, 200, "0-4/5", [1, 2, 3, 4, 5]),
    "exact_part": ("limit=2", {"Prefer": "count=exact"}, 206, "0-1/5", [1, 2]),
    "exact_filtered": ("id=gt.3", {"Prefer": "count=exact"}, 200, "0-1/2", [4, 5]),
    "exact_at_the_end": ("offset=5", {"Prefer": "count=exact"}, 206, "*/5", []),
    "exact_nothing": ("id=eq.9", {"Prefer": "count=exact"}, 200, "*/0", []),
    "limit_zero_counted": ("limit=0", {"Prefer": "count=exact"}, 206, "*/5", []),
    "estimated": ("limit=1", {"Prefer": "count=estimated"}, 206, None, [1]),
}


@pytest.mark.parametrize("name", WINDOWS)
async def test_window(rows: httpx.AsyncClient, name: str):
    query, headers, status, content_range, expected = WINDOWS[name]
    response = await rows.get(f"/books?select=id&order=id&{query}", headers=headers)
    assert response.status_code == status
    assert [row["id"] for row in response.json()] == expected
    if content_range is not None:
        assert response.headers["content-range"] == content_range


class TestWindows:
    async def test_offset_past_the_counted_end_is_416(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?offset=9", headers={"Prefer": "count=exact"})
        assert response.status_code == 416
        assert response.headers["content-range"] == "*/5"
        assert response.json() == {
            "code": "PGRST103",
            "message": "Requested range not satisfiable",
            "details": "An offset of 9 was requested, but there are only 5 rows.",
            "hint": None,
        }

    async def test_backward_range_is_416(self, rows: httpx.AsyncClient):
        response = await rows.get("/books", headers={"Range": "5-2"})
        assert response.status_code == 416
        assert "lower boundary" in response.json()["details"]

    async def test_negative_limit_is_416(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?limit=-1")
        assert (response.status_code, response.json()["code"]) == (416, "PGRST103")

    async def test_windows_beyond_all_rows(self, rows: httpx.AsyncClient):
        vast = 2**63 - 1
        assert (await rows.get(f"/books?offset={vast}")).json() == []
        assert len((await rows.get(f"/books?limit={vast}&offset=3")).json()) == 2
        embedded = await rows.get(f"/authors?select=books(id)&id=eq.1&books.offset={vast}")
        assert embedded.json() == [{"books": []}]

    @pytest.mark.parametrize(
        "window", ["offset=9{}", "limit=9{}", "select=id,authors(id)&authors.offset=9{}"]
    )
    async def test_a_window_beyond_all_numbers(self, rows: httpx.AsyncClient, window: str):
        response = await rows.get("/books?" + window.format("9" * 5000))
        assert (response.status_code, response.json()["code"]) == (400, "22003")

    async def test_parameters_parted_by_semicolons(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?id=in.(1,2);select=id&order=id.desc")
        assert response.json() == [{"id": 2}, {"id": 1}]
        assert response.headers["content-location"].endswith(
            "/books?id=in.%281%2C2%29&order=id.desc&select=id"
        )
        assert (await rows.get("/readers?name=eq.a%3Bb;select=id")).json() == []

    async def test_planned_count_comes_from_the_planner(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?limit=1", headers={"Prefer": "count=planned"})
        assert response.status_code == 206
        assert int(response.headers["content-range"].partition("/")[2]) > 1
        assert response.headers["preference-applied"] == "count=planned"

    async def test_head_has_the_headers_and_no_body(self, rows: httpx.AsyncClient):
        response = await rows.head("/books?limit=2", headers={"Prefer": "count=exact"})
        assert (response.status_code, response.content) == (206, b"")
        assert response.headers["content-range"] == "0-1/5"
        assert response.headers["content-type"] == "application/json; charset=utf-8"

    async def test_content_location_is_canonical(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?select=id&id=eq.1&b=neq.&b", params=None)
        assert response.status_code == 400
        response = await rows.get("/books?select=id&id=eq.1")
        assert response.headers["content-location"] == "/books?id=eq.1&select=id"


class TestMaxRows:
    async def test_bounds_the_result_and_its_embeds(self, make_rows):
        rows = await make_rows(replace(CONFIG, max_rows=2))
        response = await rows.get("/books?select=id&order=id", headers={"Prefer": "count=exact"})
        assert [row["id"] for row in response.json()] == [1, 2]
        assert (response.status_code, response.headers["content-range"]) == (206, "0-1/5")
        response = await rows.get("/books?select=id&order=id&limit=4")
        assert len(response.json()) == 2
        response = await rows.get("/books?select=id&limit=1", headers={"Prefer": "count=estimated"})
        assert int(response.headers["content-range"].partition("/")[2]) >= 3
        response = await rows.get("/publishers?select=id,books(id)&id=eq.2&books.limit=1")
        assert response.json() == [{"id": 2, "books": [{"id": 2}]}]


class TestRowSecurity:
    async def test_rows_are_those_of_the_claims(self, rows: httpx.AsyncClient):
        for sub, expected in (("ada", [1, 2]), ("ben", [3]), ("cleo", [])):
            response = await rows.get(
                "/diaries?select=id&order=id", headers={"Authorization": f"rows_member {sub}"}
            )
            assert [row["id"] for row in response.json()] == expected

    async def test_a_count_sees_no_more_than_the_rows(self, rows: httpx.AsyncClient):
        response = await rows.get(
            "/diaries?limit=1",
            headers={"Authorization": "rows_member ada", "Prefer": "count=exact"},
        )
        assert response.headers["content-range"] == "0-0/2"

    async def test_a_forbidden_table_is_401_for_anon_and_403_for_others(
        self, rows: httpx.AsyncClient, rows_database
    ):
        response = await rows.get("/members_only")
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json() == {
            "code": "42501",
            "message": "permission denied for table members_only",
            "details": None,
            "hint": None,
        }
        await rows_database.run("revoke select on library.members_only from rows_slow")
        response = await rows.get("/members_only", headers={"Authorization": "rows_slow"})
        assert response.status_code == 403
        assert "www-authenticate" not in response.headers
        response = await rows.get("/members_only", headers={"Authorization": "rows_member"})
        assert response.status_code == 200

    async def test_an_unknown_role_is_401(self, rows: httpx.AsyncClient):
        response = await rows.get("/books", headers={"Authorization": "nobody_knows"})
        assert response.status_code == 401
        assert response.json()["code"] == "22023"
