"""Filters of table changes: they compare as Postgres does, or are refused."""

import pytest

from tests.realtime.tables_support import changes, insert

FILTERS = [
    ("id=eq.2", [2]),
    ("id=neq.2", [1, 3]),
    ("id=lt.2", [1]),
    ("id=lte.2", [1, 2]),
    ("id=gt.2", [3]),
    ("id=gte.2", [2, 3]),
    ("id=in.(1,3)", [1, 3]),
    ("id=not.in.(1,3)", [2]),
    ("price=eq.1.0", [1]),
    ("price=gt.9", [2]),
    ("price=is.null", [3]),
    ("price=not.is.null", [1, 2]),
    ("price=isdistinct.1", [2, 3]),
    ("title=like.a%", [1]),
    ("title=ilike.A%", [1, 3]),
    ("title=match.^b", [2]),
    ("title=imatch.^A", [1, 3]),
    ('title=in.("b, c",Apple)', [2, 3]),
    ("title=eq.b, c", [2]),
    ("id=gt.1,title=like.A%", [3]),
    ("title=eq.b, c,id=eq.2", [2]),
    ('title=eq."b, c",id=gt.1', [2]),
    ('title=not.in.("x,id=eq.9",apple),id=lt.9', [2, 3]),
]


@pytest.mark.parametrize(("wanted", "expected"), FILTERS)
async def test_filters_compare_as_postgres_does(line, notes, owner, api_keys, wanted, expected):
    socket = await line(api_keys["service_role"])
    await socket.follow("f", changes(notes, filter=wanted), changes(notes, filter="id=eq.99"))
    await owner.execute(
        f"INSERT INTO {notes} (id, title, price) VALUES"
        " (1, 'apple', 1), (2, 'b, c', 10), (3, 'Apple', NULL), (99, 'end', NULL)"
    )
    heard = []
    while (number := (await socket.change())["record"]["id"]) != 99:
        heard.append(number)
    assert heard == expected


@pytest.mark.parametrize(
    "wanted",
    [
        "id=eq.x",
        "nothing=eq.1",
        "secret=eq.s3cret",
        "id",
        "id=",
        "id=xx.1",
        "id=in.1",
        "id=is.maybe",
        "title=match.(",
        "id=eq.1; DROP TABLE x",
        "id=eq.1'::int OR true --",
        "id=in.(" + "1," * 200 + "1)",
        "x" * 5000,
    ],
)
async def test_filters_that_make_no_sense_are_refused(line, notes, token, wanted):
    socket = await line()
    joined = await socket.join("f", token=token, postgres_changes=[changes(notes, filter=wanted)])
    if joined["status"] == "ok":
        payload = (await socket.hear("system"))["payload"]
        assert payload["status"] == "error"
        reason = payload["message"]
    else:
        reason = joined["response"]["reason"]
    assert reason.startswith("InvalidFilter"), reason


async def test_a_filter_on_a_column_that_is_gone_ends_with_a_word(line, notes, owner, api_keys):
    socket = await line(api_keys["service_role"])
    await socket.follow("f", changes(notes, filter="title=eq.a"))
    await socket.follow("g", changes(notes))
    await owner.execute(f"ALTER TABLE {notes} RENAME COLUMN title TO heading")
    await owner.execute(f"INSERT INTO {notes} (id, heading) VALUES (1, 'a')")
    ended = (await socket.hear("system", lambda m: m["topic"] == "realtime:f"))["payload"]
    assert (ended["status"], ended["message"][:13]) == ("error", "InvalidFilter")
    assert (await socket.hear("postgres_changes"))["topic"] == "realtime:g"
    assert await socket.silent("postgres_changes")


async def test_a_row_that_leaves_a_filter_is_deleted_there(line, notes, owner, api_keys):
    socket = await line(api_keys["service_role"])
    await socket.follow("f", changes(notes, filter="status=eq.open"))
    await owner.execute(f"INSERT INTO {notes} (id) VALUES (1), (2)")
    await owner.execute(f"UPDATE {notes} SET status = 'done' WHERE id = 1")
    await owner.execute(f"UPDATE {notes} SET title = 'x' WHERE id = 1")
    await owner.execute(f"UPDATE {notes} SET status = 'open' WHERE id = 1")
    kinds = [(await socket.change()) for _ in range(4)]
    assert [kind["type"] for kind in kinds] == ["INSERT", "INSERT", "DELETE", "UPDATE"]
    assert kinds[2]["old_record"] == {"id": 1}


@pytest.mark.parametrize("wanted", ["secret=eq.s3cret", "secret=neq.x", "title=eq.a,secret=gt.a"])
async def test_no_filter_on_what_may_not_be_read(line, notes, owner, member, token, wanted):
    socket = await line()
    await socket.join("notes", token=token, postgres_changes=[changes(notes, filter=wanted)])
    refused = (await socket.hear("system"))["payload"]
    assert refused["status"] == "error"
    assert "s3cret" not in refused["message"]


@pytest.mark.parametrize("wanted", [r"title=match.^(a+)(a+)(a+)(a+)b\1\2\3\4$", "title=match.("])
async def test_a_filter_that_never_ends_or_fails_is_its_authors_business(
    line, notes, owner, member, token, outsider, wanted
):
    mine, rude = await line(), await line()
    await mine.follow("notes", changes(notes, filter="title=like.aaa"), token=token)
    theirs = str(outsider.tokens["access_token"])
    asked = [changes(notes, filter=wanted)]
    await rude.join("notes", token=theirs, postgres_changes=asked)
    told = (await rude.hear("system"))["payload"]
    await insert(owner, notes, 1, member.id, title="a" * 1500 + "b" + "a" * 1499)
    await insert(owner, notes, 2, member.id, title="aaa")
    assert (await mine.change())["record"]["id"] == 2
    if told["status"] == "ok":
        told = (await rude.hear("system"))["payload"]
    assert (told["status"], told["message"][:13]) == ("error", "InvalidFilter")
    assert await mine.silent("system")
