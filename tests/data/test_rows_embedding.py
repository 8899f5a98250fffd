"""Embedding related rows, and filtering, ordering and limiting across them."""

from dataclasses import replace

import httpx
import pytest

from tests.fixtures.rows import CONFIG, check

EMBEDS = {
    "many_to_one": (
        "/books?select=id,authors(name)&id=in.(1,3)&order=id",
        [{"id": 1, "authors": {"name": "Ursula"}}, {"id": 3, "authors": {"name": "Jorge"}}],
    ),
    "many_to_one_missing": (
        "/books?select=id,publishers(name)&id=eq.3",
        [{"id": 3, "publishers": None}],
    ),
    "one_to_many": (
        "/authors?select=name,books(id)&id=eq.1",
        [{"name": "Ursula", "books": [{"id": 1}, {"id": 4}]}],
    ),
    "one_to_many_empty": ("/authors?select=id,books(id)&id=eq.4", [{"id": 4, "books": []}]),
    "one_to_one": (
        "/books?select=id,covers(colour)&id=eq.1",
        [{"id": 1, "covers": {"colour": "blue"}}],
    ),
    "one_to_one_backwards": (
        "/covers?select=colour,books(title)&book_id=eq.2",
        [{"colour": "white", "books": {"title": "Invisible Cities"}}],
    ),
    "many_to_many": (
        "/books?select=id,readers(name)&id=eq.1&readers.order=name",
        [{"id": 1, "readers": [{"name": "Ada"}, {"name": "Ben"}]}],
    ),
    "many_to_many_by_junction": (
        "/readers?select=name,books!reviews(id)&id=eq.1&books.order=id",
        [{"name": "Ada", "books": [{"id": 1}, {"id": 2}]}],
    ),
    "junction_itself": (
        "/books?select=id,reviews(stars,readers(name))&id=eq.2",
        [{"id": 2, "reviews": [{"stars": 3, "readers": {"name": "Ada"}}]}],
    ),
    "alias": (
        "/books?select=id,maker:authors(name)&id=eq.1",
        [{"id": 1, "maker": {"name": "Ursula"}}],
    ),
    "by_column": (
        "/books?select=id,author_id(name)&id=eq.1",
        [{"id": 1, "author_id": {"name": "Ursula"}}],
    ),
    "by_constraint": (
        "/translations?select=id,translations_translator(name)&id=eq.1",
        [{"id": 1, "translations_translator": {"name": "Ursula"}}],
    ),
    "hint_constraint": (
        "/translations?select=id,authors!translations_translator(name)&id=eq.1",
        [{"id": 1, "authors": {"name": "Ursula"}}],
    ),
    "hint_column": (
        "/translations?select=id,a:authors!author_id(name),t:authors!translator_id(name)&id=eq.1",
        [{"id": 1, "a": {"name": "Italo"}, "t": {"name": "Ursula"}}],
    ),
    "hint_from_the_other_side": (
        "/authors?select=id,translations!translator_id(id)&id=eq.1",
        [{"id": 1, "translations": [{"id": 1}]}],
    ),
    "self_children": (
        "/shelves?select=name,shelves(name)&id=eq.1",
        [{"name": "Hall", "shelves": [{"name": "Fiction"}]}],
    ),
    "self_parent": (
        "/shelves?select=name,parent_id(name)&id=eq.2",
        [{"name": "Fiction", "parent_id": {"name": "Hall"}}],
    ),
    "self_children_by_hint": (
        "/shelves?select=name,inner:shelves!parent_id(name)&id=eq.2",
        [{"name": "Fiction", "inner": [{"name": "Utopias"}]}],
    ),
    "nested": (
        "/publishers?select=name,books(id,authors(name),reviews(stars))&id=eq.2&books.order=id",
        [
            {
                "name": "Einaudi",
                "books": [
                    {"id": 2, "authors": {"name": "Italo"}, "reviews": [{"stars": 3}]},
                    {"id": 5, "authors": {"name": "Italo"}, "reviews": [{"stars": 1}]},
                ],
            }
        ],
    ),
    "same_table_twice": (
        "/books?select=id,x:reviews(stars),y:reviews(reader_id)&id=eq.2&x.stars=gt.3",
        [{"id": 2, "x": [], "y": [{"reader_id": 1}]}],
    ),
    "star_and_embed": (
        "/covers?select=*,books(id)&book_id=eq.1",
        [{"book_id": 1, "colour": "blue", "books": {"id": 1}}],
    ),
    "through_a_view": (
        "/book_list?select=id,authors(name)&id=eq.1",
        [{"id": 1, "authors": {"name": "Ursula"}}],
    ),
    "to_a_view": (
        "/authors?select=id,book_list(title)&id=eq.3",
        [{"id": 3, "book_list": [{"title": "Ficciones"}]}],
    ),
    "view_to_view": (
        "/book_list?select=id,writer_list(name)&id=eq.1",
        [{"id": 1, "writer_list": {"name": "Ursula"}}],
    ),
    "view_over_view": (
        "/book_list_again?select=number,authors(name)&number=eq.2",
        [{"number": 2, "authors": {"name": "Italo"}}],
    ),
    "from_a_materialized_view": (
        "/book_titles?select=title,authors(name)&id=eq.1",
        [{"title": "The Dispossessed", "authors": {"name": "Ursula"}}],
    ),
    "many_to_many_of_a_view": (
        "/book_list?select=id,readers(name)&id=eq.5",
        [{"id": 5, "readers": [{"name": "Cleo"}]}],
    ),
    "computed_to_many": (
        "/authors?select=id,cheap_books(id)&id=eq.2&cheap_books.order=id",
        [{"id": 2, "cheap_books": [{"id": 2}, {"id": 5}]}],
    ),
    "computed_to_one": (
        "/books?select=id,maker(name)&id=eq.1",
        [{"id": 1, "maker": {"name": "Ursula"}}],
    ),
    "computed_nested": (
        "/publishers?select=id,books(id,maker(name))&id=eq.2&books.limit=1&books.order=id",
        [{"id": 2, "books": [{"id": 2, "maker": {"name": "Italo"}}]}],
    ),
    "computed_field_inside": (
        "/authors?select=id,books(full_title)&id=eq.3",
        [{"id": 3, "books": [{"full_title": "Ficciones (3)"}]}],
    ),
}

ACROSS = {
    "filter_inside": (
        "/authors?select=id,books(id)&books.price=gt.10&order=id",
        [
            {"id": 1, "books": [{"id": 1}]},
            {"id": 2, "books": []},
            {"id": 3, "books": []},
            {"id": 4, "books": []},
        ],
    ),
    "filter_inside_by_alias": (
        "/authors?select=id,b:books(id)&b.price=gt.10&id=eq.1",
        [{"id": 1, "b": [{"id": 1}]}],
    ),
    "inner": (
        "/authors?select=id,books!inner(id)&books.price=gt.10",
        [{"id": 1, "books": [{"id": 1}]}],
    ),
    "inner_to_one": (
        "/books?select=id,publishers!inner(name)&publishers.name=eq.Ace&order=id",
        [{"id": 1, "publishers": {"name": "Ace"}}, {"id": 4, "publishers": {"name": "Ace"}}],
    ),
    "left": ("/books?select=id,publishers!left(name)&id=eq.3", [{"id": 3, "publishers": None}]),
    "inner_with_hint": (
        "/translations?select=id,authors!translations_author!inner(name)&authors.name=eq.Jorge",
        [{"id": 2, "authors": {"name": "Jorge"}}],
    ),
    "inner_nested": (
        "/publishers?select=id,books!inner(id,reviews!inner(stars))&books.reviews.stars=eq.5",
        [{"id": 1, "books": [{"id": 1, "reviews": [{"stars": 5}]}]}],
    ),
    "inner_many_to_many": (
        "/readers?select=id,books!inner(id)&books.id=eq.5",
        [{"id": 3, "books": [{"id": 5}]}],
    ),
    "empty_inner_only_filters": (
        "/authors?select=id,books!inner()&books.price=gt.10",
        [{"id": 1}],
    ),
    "not_null_embed": (
        "/authors?select=id,books()&books=not.is.null&order=id",
        [{"id": 1}, {"id": 2}, {"id": 3}],
    ),
    "null_embed": ("/authors?select=id,books()&books=is.null", [{"id": 4}]),
    "null_embed_to_one": (
        "/books?select=id,publishers(name)&publishers=is.null",
        [{"id": 3, "publishers": None}],
    ),
    "not_null_filtered_embed": (
        "/authors?select=id,books()&books=not.is.null&books.price=gt.10",
        [{"id": 1}],
    ),
    "or_across_embeds": (
        "/books?select=id,covers(),reviews()&or=(covers.not.is.null,reviews.not.is.null)&order=id",
        [{"id": 1}, {"id": 2}, {"id": 5}],
    ),
    "or_inside": (
        "/authors?select=id,books(id)&books.or=(id.eq.1,id.eq.4)&id=eq.1&books.order=id.desc",
        [{"id": 1, "books": [{"id": 4}, {"id": 1}]}],
    ),
    "not_and_inside": (
        "/authors?select=id,books(id)&books.not.and=(id.gt.0,id.lt.4)&id=eq.1",
        [{"id": 1, "books": [{"id": 4}]}],
    ),
    "order_inside": (
        "/authors?select=id,books(id)&books.order=id.desc&id=eq.1",
        [{"id": 1, "books": [{"id": 4}, {"id": 1}]}],
    ),
    "limit_inside": (
        "/authors?select=id,books(id)&books.order=id&books.limit=1&id=eq.1",
        [{"id": 1, "books": [{"id": 1}]}],
    ),
    "offset_inside": (
        "/authors?select=id,books(id)&books.order=id&books.offset=1&id=eq.1",
        [{"id": 1, "books": [{"id": 4}]}],
    ),
    "limit_deep_inside": (
        "/publishers?select=books(reviews(stars))&books.id=eq.1&id=eq.1&books.reviews.offset=1",
        [{"books": [{"reviews": [{"stars": 4}]}]}],
    ),
    "order_by_an_embed": (
        "/books?select=id,authors(name)&order=authors(name).desc,id&limit=2",
        [{"id": 1, "authors": {"name": "Ursula"}}, {"id": 4, "authors": {"name": "Ursula"}}],
    ),
    "order_by_an_aliased_embed": (
        "/books?select=id,a:authors()&order=a(born).nullslast,id.desc&limit=1",
        [{"id": 3}],
    ),
}

SPREADS = {
    "to_one": ("/books?select=id,...authors(name)&id=eq.1", [{"id": 1, "name": "Ursula"}]),
    "to_one_renamed": (
        "/books?select=id,...authors(writer:name)&id=eq.1",
        [{"id": 1, "writer": "Ursula"}],
    ),
    "to_one_star": (
        "/covers?select=...books(id,title)&book_id=eq.1",
        [{"id": 1, "title": "The Dispossessed"}],
    ),
    "missing": ("/books?select=id,...publishers(name)&id=eq.3", [{"id": 3, "name": None}]),
    "nested": (
        "/covers?select=colour,...books(title,...authors(name))&book_id=eq.1",
        [{"colour": "blue", "title": "The Dispossessed", "name": "Ursula"}],
    ),
    "inside_an_embed": (
        "/authors?select=id,books(id,...publishers(publisher:name))&id=eq.3",
        [{"id": 3, "books": [{"id": 3, "publisher": None}]}],
    ),
    "with_an_embed_inside": (
        "/covers?select=colour,...books(id,authors(name))&book_id=eq.1",
        [{"colour": "blue", "id": 1, "authors": {"name": "Ursula"}}],
    ),
    "star_beside_an_embed": (
        "/covers?select=colour,...books(...publishers(*,list:books(id)))&book_id=eq.1",
        [{"colour": "blue", "id": 1, "name": "Ace", "list": [{"id": 1}, {"id": 4}]}],
    ),
    "json_inside": (
        "/covers?select=colour,...books(facts->>language)&book_id=eq.1",
        [{"colour": "blue", "language": "en"}],
    ),
    "to_many": (
        "/authors?select=id,...books(titles:title,pages)&id=eq.1",
        [{"id": 1, "titles": ["The Dispossessed", "The Lathe of Heaven"], "pages": [341, 184]}],
    ),
    "to_many_ordered": (
        "/authors?select=id,...books(ids:id)&id=eq.1&books.order=pages",
        [{"id": 1, "ids": [4, 1]}],
    ),
    "to_many_empty": ("/authors?select=id,...books(title)&id=eq.4", [{"id": 4, "title": []}]),
    "to_many_star": (
        "/readers?select=id,...reviews(*)&id=eq.3",
        [{"id": 3, "book_id": [5], "reader_id": [3], "stars": [1]}],
    ),
    "to_many_limited": (
        "/authors?select=id,...books(ids:id)&id=eq.1&books.order=id&books.limit=1",
        [{"id": 1, "ids": [1]}],
    ),
    "many_to_many": (
        "/books?select=id,...readers(names:name)&id=eq.1&readers.order=name.desc",
        [{"id": 1, "names": ["Ben", "Ada"]}],
    ),
    "to_many_with_to_one_inside": (
        "/readers?select=id,...reviews(stars,...books(title))&id=eq.3",
        [{"id": 3, "stars": [1], "title": ["Cosmicomics"]}],
    ),
    "to_many_ordered_by_an_embed": (
        "/readers?select=id,...reviews(stars,...books(title))&id=eq.1&reviews.order=books(title)",
        [{"id": 1, "stars": [3, 5], "title": ["Invisible Cities", "The Dispossessed"]}],
    ),
    "computed": ("/books?select=id,...maker(name)&id=eq.1", [{"id": 1, "name": "Ursula"}]),
}


@pytest.mark.parametrize("name", EMBEDS)
async def test_embed(rows: httpx.AsyncClient, name: str):
    await check(rows, *EMBEDS[name])


@pytest.mark.parametrize("name", ACROSS)
async def test_across(rows: httpx.AsyncClient, name: str):
    await check(rows, *ACROSS[name])


@pytest.mark.parametrize("name", SPREADS)
async def test_spread(rows: httpx.AsyncClient, name: str):
    await check(rows, *SPREADS[name])


class TestCounts:
    @pytest.mark.parametrize(
        ("path", "total"),
        [
            ("/authors?select=id,books!inner(id)&books.price=gt.8.5", 2),
            ("/authors?select=id,books(id)&books=not.is.null", 3),
            ("/authors?select=id,books(id)&books=is.null", 1),
            ("/publishers?select=id,books!inner(id,reviews!inner())&books.reviews.stars=eq.5", 1),
            ("/authors?select=id,books!inner(id)&books.price=gt.8.5&limit=1", 2),
            ("/authors?select=id,books!inner(id)&books.offset=1", 2),
            ("/measures?select=place,amount.sum()", 2),
        ],
    )
    async def test_count_rows_of_the_root(self, rows: httpx.AsyncClient, path: str, total: int):
        response = await rows.get(path, headers={"Prefer": "count=exact"})
        assert response.headers["content-range"].endswith(f"/{total}")


class TestRefusals:
    async def test_no_relationship(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?select=id,vvvvv(a)")
        assert response.status_code == 400
        assert response.json() == {
            "code": "PGRST200",
            "message": "Could not find a relationship between 'books' and 'vvvvv'"
            " in the schema cache",
            "details": "Searched for a foreign key relationship between 'books' and 'vvvvv'"
            " in the schema 'library', but no matches were found.",
            "hint": None,
        }

    async def test_a_misspelt_relationship(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?select=id,autors(name)")
        assert response.json()["hint"] == "Perhaps you meant 'authors' instead of 'autors'."

    async def test_a_wrong_hint(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?select=id,authors!wrong(name)")
        assert "using the hint 'wrong'" in response.json()["details"]
        assert response.json()["hint"] is None

    async def test_another_table_is_suggested_for_one_without_relations(
        self, rows: httpx.AsyncClient
    ):
        response = await rows.get("/stock?select=shelf,books(id)")
        assert response.json()["hint"] is None
        response = await rows.get("/book_count?select=books,authors(id)")
        assert response.json()["hint"] == "Perhaps you meant 'book_list' instead of 'book_count'."

    async def test_no_other_table_is_suggested_for_one_that_a_hidden_table_joins(
        self, rows: httpx.AsyncClient
    ):
        response = await rows.get("/bins?select=id,shelves(id)")
        assert response.json() == {
            "code": "PGRST200",
            "message": "Could not find a relationship between 'bins' and 'shelves'"
            " in the schema cache",
            "details": "Searched for a foreign key relationship between 'bins' and 'shelves'"
            " in the schema 'library', but no matches were found.",
            "hint": None,
        }

    async def test_more_than_one(self, rows: httpx.AsyncClient):
        response = await rows.get("/translations?select=id,authors(name)")
        assert response.status_code == 300
        assert response.json() == {
            "code": "PGRST201",
            "message": "Could not embed because more than one relationship was found for"
            " 'translations' and 'authors'",
            "details": [
                {
                    "cardinality": "many-to-one",
                    "embedding": "translations with authors",
                    "relationship": "translations_author using translations(author_id)"
                    " and authors(id)",
                },
                {
                    "cardinality": "many-to-one",
                    "embedding": "translations with authors",
                    "relationship": "translations_translator using translations(translator_id)"
                    " and authors(id)",
                },
            ],
            "hint": "Try changing 'authors' to one of the following:"
            " 'authors!translations_author', 'authors!translations_translator'."
            " Find the desired relationship in the 'details' key.",
        }

    async def test_a_filter_on_what_is_not_embedded(self, rows: httpx.AsyncClient):
        for query in (
            "authors.name=eq.x",
            "authors.order=name",
            "authors.limit=1",
            "authors.or=(id.eq.1,id.eq.2)",
        ):
            response = await rows.get(f"/books?select=id&{query}")
            assert response.status_code == 400
            assert response.json() == {
                "code": "PGRST108",
                "message": "'authors' is not an embedded resource in this request",
                "details": None,
                "hint": "Verify that 'authors' is included in the 'select' query parameter.",
            }

    async def test_a_filter_by_relation_where_only_the_alias_counts(self, make_rows):
        rows = await make_rows(replace(CONFIG, legacy_target_names=False))
        select = "select=name,books(id),dear:books(id)&id=eq.1"
        response = await rows.get(f"/authors?{select}&books.id=eq.4&dear.id=eq.1")
        assert response.json() == [{"name": "Ursula", "books": [{"id": 4}], "dear": [{"id": 1}]}]
        for query in ("books.id=eq.1", "books.order=id", "books.limit=1"):
            response = await rows.get(f"/authors?select=name,dear:books(id)&{query}")
            assert (response.status_code, response.json()) == (
                400,
                {
                    "code": "PGRST108",
                    "message": "'books' is not an embedded resource in this request",
                    "details": "Target names are not allowed in filters if they have an alias",
                    "hint": "Change 'books' to 'dear' in filters, orders or limits.",
                },
            )

    async def test_a_filter_by_relation_in_spite_of_an_alias_warns(self, rows: httpx.AsyncClient):
        select = "select=name,dear:books(id,from:authors(name))&id=eq.1"
        response = await rows.get(f"/authors?{select}&books.order=id&books.authors.name=eq.x")
        assert response.headers["warning"] == (
            '299 PostgREST "Embedded resource was referenced by relation name even though it has'
            " an alias. This is deprecated and will stop working in a future release."
            " Update `books` to `dear`, `authors` to `from` in query string filters, orders or"
            ' limits."'
        )
        response = await rows.get(f"/authors?{select}&dear.order=id&dear.from.name=eq.x")
        assert "warning" not in response.headers

    async def test_order_by_a_to_many_embed(self, rows: httpx.AsyncClient):
        response = await rows.get("/authors?select=id,books(id)&order=books(id)")
        assert response.json() == {
            "code": "PGRST118",
            "message": "A related order on 'books' is not possible",
            "details": "'authors' and 'books' do not form a many-to-one or one-to-one relationship",
            "hint": None,
        }

    async def test_a_hidden_table_cannot_be_embedded(self, rows: httpx.AsyncClient):
        response = await rows.get("/books?select=id,secrets(value)")
        assert response.json()["code"] == "PGRST200"
        assert "treasure" not in response.text
