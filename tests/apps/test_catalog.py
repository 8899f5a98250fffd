"""The media catalogue over HTTP: who may, what is refused, what is found."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, promoted, unique
from tests.fixtures.lists import check_orders
from tests.fixtures.query_counter import QueryCounter

API = "/api/v1"


@pytest_asyncio.fixture
async def moderator(admin: Caller, member: Caller) -> Caller:
    return await promoted(admin, member, "moderator")


async def author(writer: Caller, **fields: Any) -> dict[str, Any]:
    body = {"name": unique("Author"), "age": 50} | fields
    made = await writer.post(f"{API}/authors", json=body)
    assert made.status_code == 201, made.text
    return made.json()


async def movie(writer: Caller, author_id: str, **fields: Any) -> dict[str, Any]:
    body = {"title": unique("Movie"), "year_of_issue": 1999, "genre": "Mystery"} | fields
    made = await writer.post(f"{API}/movies", json={**body, "author_id": author_id})
    assert made.status_code == 201, made.text
    return made.json()


async def series(writer: Caller, author_id: str, **fields: Any) -> dict[str, Any]:
    body = {"title": unique("Series"), "episodes": 24, "seasons": 2, "genre": "comedy"} | fields
    made = await writer.post(f"{API}/series", json={**body, "author_id": author_id})
    assert made.status_code == 201, made.text
    return made.json()


class TestReading:
    async def test_needs_no_account(self, client: httpx.AsyncClient, service: Caller):
        made = await author(service)
        film = await movie(service, made["id"])
        show = await series(service, made["id"])
        for path, expected in {
            f"/authors/{made['id']}": made,
            f"/movies/{film['id']}": film,
            f"/series/{show['id']}": show,
            f"/movies/{film['id']}/author": made,
            f"/series/{show['id']}/author": made,
        }.items():
            answer = await client.get(API + path)
            assert answer.status_code == 200, path
            assert answer.json() == expected
        films = await client.get(f"{API}/authors/{made['id']}/movies?count=exact")
        assert films.json() == {"items": [film], "next_cursor": None, "total": 1}
        shows = await client.get(f"{API}/authors/{made['id']}/series")
        assert shows.json()["items"] == [show]

    @pytest.mark.parametrize("noun", ["authors", "movies", "series"])
    async def test_of_what_is_not_there_is_404(self, client: httpx.AsyncClient, noun: str):
        answer = await client.get(f"{API}/{noun}/{uuid4()}")
        assert answer.status_code == 404
        assert (await client.get(f"{API}/{noun}/no-id")).status_code == 422

    async def test_an_author_without_works_has_empty_lists(
        self, client: httpx.AsyncClient, service: Caller
    ):
        made = await author(service)
        answer = await client.get(f"{API}/authors/{made['id']}/movies")
        assert answer.status_code == 200
        assert answer.json()["items"] == []

    async def test_speaks_the_readers_language(self, client: httpx.AsyncClient):
        headers = {"Accept-Language": "de"}
        answer = await client.get(f"{API}/movies/{uuid4()}", headers=headers)
        assert answer.json()["title"] == "Kein solcher Film"


class TestLists:
    async def test_page_through_everything_once(self, client: httpx.AsyncClient, service: Caller):
        made = await author(service)
        titles = [(await movie(service, made["id"]))["title"] for _ in range(5)]
        seen, cursor = [], ""
        while cursor is not None:
            path = f"{API}/movies?author_id={made['id']}&limit=2&sort=-title"
            page = (await client.get(f"{path}&cursor={cursor}" if cursor else path)).json()
            seen += [entry["title"] for entry in page["items"]]
            cursor = page["next_cursor"]
        assert seen == sorted(titles, reverse=True)

    async def test_come_in_every_order(self, client: httpx.AsyncClient, service: Caller):
        made, word = await author(service), unique("order")
        for number in range(3):
            await author(service, name=f"{word} {number}")
            await movie(service, made["id"], year_of_issue=1990 + number)
            await series(service, made["id"], episodes=10 + number)
        movies, shows = ("title", "year_of_issue", "created_at"), ("title", "episodes", "seasons")
        await check_orders(service, f"{API}/authors", ("name", "age", "created_at"), search=word)
        await check_orders(service, f"{API}/movies", movies, author_id=made["id"])
        await check_orders(service, f"{API}/series", shows, author_id=made["id"])
        await check_orders(service, f"{API}/authors/{made['id']}/movies", movies)
        await check_orders(service, f"{API}/authors/{made['id']}/series", shows)
        first = (await client.get(f"{API}/movies?sort=title&limit=1")).json()["next_cursor"]
        mixed = await client.get(f"{API}/movies?sort=-title&limit=1&cursor={first}")
        assert (mixed.status_code, mixed.json()["code"]) == (422, "cursor_invalid")

    async def test_filter_by_genre_and_years(self, client: httpx.AsyncClient, service: Caller):
        made = await author(service)
        for year in (1970, 1980, 1990):
            await movie(service, made["id"], year_of_issue=year, genre="Horror")
        base = f"{API}/movies?author_id={made['id']}&genre=HORROR&sort=year_of_issue"
        found = (await client.get(f"{base}&min_year=1975&max_year=1985")).json()
        assert [entry["year_of_issue"] for entry in found["items"]] == [1980]
        assert (await client.get(f"{base}&genre=comedy")).status_code in {200, 422}
        every = (await client.get(base)).json()["items"]
        assert [entry["year_of_issue"] for entry in every] == [1970, 1980, 1990]

    async def test_search_finds_parts_and_near_misses_best_first(
        self, client: httpx.AsyncClient, service: Caller
    ):
        made = await author(service)
        word = unique("zephyr")
        exact = await movie(service, made["id"], title=f"{word} lighthouse")
        near = await movie(service, made["id"], title=f"{word} lighthousse keeper")
        await movie(service, made["id"], title=f"{word} volcano")
        found = (await client.get(f"{API}/movies?search={word} lighthouse")).json()["items"]
        ids = [entry["id"] for entry in found]
        assert ids[0] == exact["id"]
        assert near["id"] in ids
        part = (await client.get(f"{API}/movies?search=LIGHTHOUSE&author_id={made['id']}")).json()
        assert exact["id"] in [entry["id"] for entry in part["items"]]

    async def test_a_searched_list_is_paged_too(self, client: httpx.AsyncClient, service: Caller):
        made, word = await author(service), unique("quasar")
        for number in range(3):
            await movie(service, made["id"], title=f"{word} {number}")
        seen, cursor = set(), ""
        while cursor is not None:
            path = f"{API}/movies?search={word}&limit=1&author_id={made['id']}"
            page = (await client.get(f"{path}&cursor={cursor}" if cursor else path)).json()
            seen |= {entry["id"] for entry in page["items"]}
            cursor = page["next_cursor"]
        assert len(seen) == 3

    @pytest.mark.parametrize("search", ["%", "_", "\\", "'; DROP TABLE catalog.movies", "(", "%%%"])
    async def test_search_takes_signs_literally(self, client: httpx.AsyncClient, search: str):
        answer = await client.get(f"{API}/movies", params={"search": search})
        assert answer.status_code == 200
        assert answer.json()["items"] == []

    @pytest.mark.parametrize(
        "query",
        [
            "limit=0",
            "limit=101",
            "sort=description",
            "cursor=!!",
            "cursor=W10",
            "search=",
            f"search={'x' * 101}",
            "min_year=-1",
            "author_id=1",
            "genre=",
        ],
    )
    async def test_refuse_nonsense(self, client: httpx.AsyncClient, query: str):
        assert (await client.get(f"{API}/movies?{query}")).status_code == 422

    async def test_send_the_same_few_statements_however_many_rows(
        self, client: httpx.AsyncClient, service: Caller, query_counter: QueryCounter
    ):
        made = await author(service)
        for _ in range(4):
            await movie(service, made["id"])
        with query_counter() as count:
            await client.get(f"{API}/movies?author_id={made['id']}&limit=50")
        assert len(count) <= 2


class TestWriting:
    async def test_is_for_moderators(
        self, client: httpx.AsyncClient, outsider: Caller, moderator: Caller
    ):
        body = {"name": "Tove Jansson", "age": 86}
        assert (await client.post(f"{API}/authors", json=body)).status_code == 401
        assert (await outsider.post(f"{API}/authors", json=body)).status_code == 403
        assert (await moderator.post(f"{API}/authors", json=body)).status_code == 201

    async def test_put_replaces_and_patch_changes(self, service: Caller):
        made = await author(service)
        film = await movie(service, made["id"], description="First")
        path = f"{API}/movies/{film['id']}"
        patched = await service.patch(path, json={"year_of_issue": 2001})
        assert patched.json()["description"] == "First"
        assert patched.json()["year_of_issue"] == 2001
        whole = {"title": "New", "year_of_issue": 2002, "genre": "x", "author_id": made["id"]}
        replaced = await service.put(path, json=whole)
        assert replaced.status_code == 200
        assert replaced.json()["description"] is None
        assert (await service.put(path, json={"title": "Half"})).status_code == 422
        assert (await service.patch(path, json={})).json()["title"] == "New"

    async def test_a_movie_may_change_hands(self, client: httpx.AsyncClient, service: Caller):
        first, second = await author(service), await author(service)
        film = await movie(service, first["id"])
        await service.patch(f"{API}/movies/{film['id']}", json={"author_id": second["id"]})
        assert (await client.get(f"{API}/movies/{film['id']}/author")).json() == second

    async def test_an_author_with_works_stays(self, service: Caller):
        made = await author(service)
        film = await movie(service, made["id"])
        refused = await service.delete(f"{API}/authors/{made['id']}")
        assert (refused.status_code, refused.json()["code"]) == (409, "author_has_works")
        assert (await service.delete(f"{API}/movies/{film['id']}")).status_code == 204
        assert (await service.delete(f"{API}/authors/{made['id']}")).status_code == 204
        assert (await service.delete(f"{API}/authors/{made['id']}")).status_code == 404

    async def test_an_author_deleted_while_works_are_added_leaves_none_behind(
        self, service: Caller
    ):
        made = await author(service)
        body = {"title": "Late", "year_of_issue": 2000, "genre": "x", "author_id": made["id"]}
        adding = [service.post(f"{API}/movies", json=body) for _ in range(10)]
        answers = await asyncio.gather(*adding, service.delete(f"{API}/authors/{made['id']}"))
        added = sum(answer.status_code == 201 for answer in answers[:-1])
        refused = [answer for answer in answers[:-1] if answer.status_code != 201]
        assert {answer.json()["code"] for answer in refused} <= {"unknown_author"}
        assert answers[-1].status_code == (409 if added else 204)

    @pytest.mark.parametrize(
        ("noun", "body"),
        [
            ("authors", {"name": "Al", "age": 40}),
            ("authors", {"name": "x" * 101, "age": 40}),
            ("authors", {"name": "Young", "age": 5}),
            ("authors", {"name": "Old", "age": 131}),
            ("authors", {"name": "Extra", "age": 40, "id": str(uuid4())}),
            ("authors", {"name": "NUL\u0000", "age": 40}),
            ("movies", {"title": " ", "year_of_issue": 1999, "genre": "x"}),
            ("movies", {"title": "Year", "year_of_issue": 1492, "genre": "x"}),
            ("movies", {"title": "Year", "year_of_issue": 10**20, "genre": "x"}),
            ("series", {"title": "None", "episodes": 0, "seasons": 1, "genre": "x"}),
            ("series", {"title": "None", "episodes": 1, "seasons": None, "genre": "x"}),
        ],
    )
    async def test_refuses_what_cannot_be(self, service: Caller, noun: str, body: dict[str, Any]):
        if noun != "authors":
            body = body | {"author_id": (await author(service))["id"]}
        answer = await service.post(f"{API}/{noun}", json=body)
        assert answer.status_code == 422, answer.text

    async def test_refuses_an_author_who_does_not_exist(self, service: Caller):
        body = {"title": "x", "year_of_issue": 2000, "genre": "x", "author_id": str(uuid4())}
        answer = await service.post(f"{API}/movies", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_author")

    @pytest.mark.parametrize("change", [{"title": None}, {"genre": None}, {"author_id": None}])
    async def test_patch_does_not_empty_what_must_be_there(
        self, service: Caller, change: dict[str, Any]
    ):
        film = await movie(service, (await author(service))["id"])
        answer = await service.patch(f"{API}/movies/{film['id']}", json=change)
        assert answer.status_code == 422

    async def test_the_same_key_adds_once(self, service: Caller):
        headers = {"Idempotency-Key": unique("key")}
        body = {"name": unique("Author"), "age": 30}
        first = await service.post(f"{API}/authors", json=body, headers=headers)
        second = await service.post(f"{API}/authors", json=body, headers=headers)
        assert first.json()["id"] == second.json()["id"]
