"""Whatever is asked, the answer is not a 500."""

from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = [
    "select", "order", "limit", "offset", "and", "or", "not", "columns", "on_conflict", "id",
    "title", "price", "facts", "labels", "authors", "books", "reviews", "eq", "neq", "gt", "in",
    "is", "like", "fts", "any", "all", "null", "asc", "desc", "nullsfirst", "count", "sum",
    "inner", "left", "int", "text", "1", "0", "-1", "a", "é", "::", "->", "->>", "...", "!", ":",
    ".", ",", "(", ")", "{", "}", '"', "'", "\\", "*", "%", " ", "=", ";", "--", "/*", "\0", "$1",
]  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), max_size=12).map("".join)
KEYS = st.one_of(
    st.sampled_from(["select", "order", "limit", "offset", "and", "or", "not.or", "id", "title"]),
    st.sampled_from(["authors.order", "authors.id", "facts->>a", "books.limit", "columns"]),
    TEXT,
)
VALUES = st.one_of(
    TEXT, TEXT.map("eq.{}".format), TEXT.map("({})".format), TEXT.map("in.({})".format)
)
QUERY = st.lists(st.tuples(KEYS, VALUES), max_size=4)
NAMES = st.one_of(st.sampled_from(["books", "authors", "rpc/add", "rpc/pairs", "book_list"]), TEXT)
MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def query_string(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{encode(key)}={encode(value)}" for key, value in pairs)


def encode(text: str) -> str:
    return quote(text.encode("utf-8", "replace"))


@MANY
@given(name=NAMES, query=QUERY)
async def test_reads(rows: httpx.AsyncClient, name: str, query: list[tuple[str, str]]):
    response = await rows.get(f"/{encode(name)}?{query_string(query)}")
    assert response.status_code < 500, response.text


@MANY
@given(select=TEXT, where=TEXT, order=TEXT)
async def test_selects(rows: httpx.AsyncClient, select: str, where: str, order: str):
    pairs = [("select", f"id,{select}"), ("or", f"(id.eq.1,{where})"), ("order", f"id,{order}")]
    response = await rows.get(f"/books?{query_string(pairs)}")
    assert response.status_code < 500, response.text


@MANY
@given(
    headers=st.dictionaries(
        st.sampled_from(["Accept", "Prefer", "Range", "Accept-Profile", "Cookie", "X-Any"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40),
    )
)
async def test_headers(rows: httpx.AsyncClient, headers: dict[str, str]):
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = await rows.get("/readers", headers=raw)
    assert response.status_code < 500, response.text


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        TEXT,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=6,
)


@MANY
@given(
    method=st.sampled_from(["POST", "PATCH", "PUT"]),
    path=st.sampled_from(["/loans", "/loans?id=eq.0", "/rpc/add", "/rpc/echo_json"]),
    body=st.one_of(
        JSON,
        st.dictionaries(st.sampled_from(["note", "weeks", "status", "a", "b"]), JSON, max_size=3),
    ),
)
async def test_json_bodies(rows: httpx.AsyncClient, method: str, path: str, body: object):
    if "rpc" in path:
        method = "POST"
    response = await rows.request(method, path, json=body)
    assert response.status_code < 500, response.text


@MANY
@given(body=st.binary(max_size=60), kind=st.sampled_from(["json", "csv", "form", "octets"]))
async def test_raw_bodies(rows: httpx.AsyncClient, body: bytes, kind: str):
    content_type = {
        "json": "application/json",
        "csv": "text/csv",
        "form": "application/x-www-form-urlencoded",
        "octets": "application/octet-stream",
    }[kind]
    for path in ("/loans", "/rpc/add", "/rpc/count_bytes"):
        response = await rows.post(path, content=body, headers={"Content-Type": content_type})
        assert response.status_code < 500, response.text


@pytest.mark.parametrize("name", ["books", "authors"])
@MANY
@given(attack=TEXT)
async def test_nothing_hidden_comes_out(rows: httpx.AsyncClient, name: str, attack: str):
    for query in (f"select={encode(attack)}", f"id=eq.{encode(attack)}", f"order={encode(attack)}"):
        response = await rows.get(f"/{name}?{query}")
        assert "hidden treasure" not in response.text
