"""Requests that differ in values alone are read once, and answered as if they were read anew."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures.rows import CONFIG, FULL, MakeRows
from undercroft.data.rest import TransactionEnd
from undercroft.data.rest.familiar import take_apart
from undercroft.data.rest.query_string import read_query, split_pairs
from undercroft.data.rest.request import Head, HttpRequest

NAMES = st.sampled_from(["id", "name", "a.b", "data->>x", "café", "a%20b", ""])
OPERATORS = st.sampled_from(["eq", "neq", "gt", "gte", "lt", "lte"])
VALUES = st.one_of(
    st.text(max_size=12).map(lambda text: quote(text.encode("utf-8", "replace"), safe="")),
    st.sampled_from(["", "eq.5", "=", "a=eq.b", "(1,2)", "{1}", "null", "*", '"', "+", "%00", "%"]),
)
FILTERS = st.lists(st.tuples(NAMES, OPERATORS, VALUES), min_size=1, max_size=4)


@given(FILTERS)
def test_values_of_plain_filters_are_what_reading_them_finds(filters: list[tuple[str, str, str]]):
    query = "&".join(f"{name}={operator}.{value}" for name, operator, value in filters)
    raw = query.encode("utf-8", "surrogateescape")
    asked = take_apart(HttpRequest("GET", "/books", raw, Head({})), "anon")
    assert asked
    assert asked.values == read_query(split_pairs(raw)).values


@pytest.fixture(
    params=[
        "/readers?id=eq.{}",
        "/readers?name=neq.Ada&id=lte.{}&order=id.desc",
        "/readers?select=name&id=gt.{}&limit=1",
        "/readers?or=(id.eq.1,name.eq.Ada)&id=gte.{}",
        "/books?select=title,authors!inner(name)&authors.id=eq.{}&order=id",
        "/readers?columns=eq.{}&id=%65q.1",
        "/readers?id=%65q.1&id=gte.{}",
    ]
)
def path(request: pytest.FixtureRequest) -> Any:
    return request.param


async def test_answers_are_the_same_as_of_a_server_that_remembers_nothing(
    make_rows: MakeRows, rows: httpx.AsyncClient, path: str
):
    for value in ("1", "2", "3", "1", "x", "%31", "1%00", "", "2"):
        fresh = await make_rows(size=1)
        expected = await fresh.get(path.format(value))
        answer = await rows.get(path.format(value))
        assert (answer.status_code, answer.content) == (expected.status_code, expected.content)
        assert answer.headers.get("content-range") == expected.headers.get("content-range")
        assert answer.headers.get("content-location") == expected.headers.get("content-location")


async def test_what_else_a_read_depends_on(rows: httpx.AsyncClient):
    path = "/readers?id=gte.1&order=id"
    plain = await rows.get(path)
    csv = await rows.get(path, headers={"Accept": "text/csv"})
    counted = await rows.get(path, headers={"Prefer": "count=exact"})
    one = await rows.get(path, headers={"Range": "0-0"})
    other = await rows.get(path, headers={"Accept-Profile": "annex"})
    assert csv.text.startswith("id,name")
    assert counted.headers["content-range"].endswith("/3")
    assert one.json() == plain.json()[:1]
    assert other.status_code == 404
    assert (await rows.get(path)).json() == plain.json()


CSV = {"Content-Type": "text/csv"}
MERGE = {"Prefer": "resolution=merge-duplicates,return=representation"}
WRITES: list[tuple[str, str, list[Any], dict[str, str]]] = [
    (
        "POST",
        "/readers",
        [{"id": 7, "name": "x"}, {"id": 8, "name": "y"}, {"id": "?", "name": 5}],
        {},
    ),
    (
        "POST",
        "/readers",
        [[{"id": 7, "name": "x"}], {"id": 7, "name": "x"}, [{"id": 7}], [], 5],
        {},
    ),
    (
        "POST",
        "/readers",
        [[{"id": 7, "name": "x"}, {"id": 8}], {"id": 1, "name": "x"}, {"a": 1}],
        {},
    ),
    ("POST", "/readers", [{"id": 7, "name": "x"}, b"{", b"", b"\xff", b"null"], {}),
    ("POST", "/readers?columns=id,name", [[], 5, {"id": 7, "name": "x", "a": 1}, b"{"], {}),
    ("POST", "/readers?%63olumns=id,name", [[], 5, None, {"id": 7, "name": "x"}, {"id": 8}], {}),
    ("PATCH", "/readers?id=eq.1&colu%6dns=name", [[], 5, {"name": "x"}, {}], {}),
    ("POST", "/readers", [b"id,name\n7,x", b"id,name\n8,y\n9,z", b"id\n7", b"id,name\n7"], CSV),
    ("POST", "/readers?on_conflict=id", [{"id": 1, "name": "x"}, {"id": 9, "name": "y"}], MERGE),
    ("PATCH", "/readers?id=eq.1", [{"name": "x"}, {"name": "y"}, {"name": None}, {}], {}),
    ("PUT", "/readers?id=eq.1", [{"id": 1, "name": "x"}, {"id": 2, "name": "x"}], {}),
]


@pytest.mark.parametrize(("method", "path", "bodies", "headers"), WRITES)
async def test_writes_are_answered_as_by_a_server_that_remembers_nothing(
    make_rows: MakeRows,
    method: str,
    path: str,
    bodies: list[Any],
    headers: dict[str, str],
):
    undone = replace(CONFIG, tx_end=TransactionEnd.ROLLBACK)
    remembering = await make_rows(undone, size=1)
    headers = {"Content-Type": "application/json", **FULL, **headers}
    for body in [*bodies, *bodies]:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        fresh = await make_rows(undone, size=1)
        expected = await fresh.request(method, path, content=content, headers=headers)
        answer = await remembering.request(method, path, content=content, headers=headers)
        assert (answer.status_code, answer.content) == (expected.status_code, expected.content)
        assert answer.headers == expected.headers


async def test_rows_are_deleted_by_the_key_of_each_request(make_rows: MakeRows):
    undone = replace(CONFIG, tx_end=TransactionEnd.ROLLBACK)
    rows = await make_rows(undone)
    for number in (1, 2, 1, 77):
        answer = await rows.delete(f"/covers?book_id=eq.{number}", headers=FULL)
        assert [row["book_id"] for row in answer.json()] == ([] if number == 77 else [number])


async def test_a_schema_named_for_reading_is_not_the_one_for_writing(make_rows: MakeRows):
    rows = await make_rows(replace(CONFIG, tx_end=TransactionEnd.ROLLBACK))
    for header, status in (("Accept-Profile", 201), ("Content-Profile", 404)) * 2:
        answer = await rows.post("/readers", json={"id": 7, "name": "x"}, headers={header: "annex"})
        assert answer.status_code == status
