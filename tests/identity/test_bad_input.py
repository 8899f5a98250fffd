"""Input that no screen sends: refused in a sentence, never a 500."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fixtures.actors import Caller, unique

API = "/api/v1"
JSON = {"Content-Type": "application/json"}
WHEN, SOME_ID = "2026-01-01T00:00:00+00:00", "01890000-0000-7000-8000-000000000000"
ODD = ("a\x00b", "\ud800", "\u202egnp.exe", "x" * 100_000, "'; DROP TABLE auth.users; --")


@pytest.mark.parametrize("odd", ODD)
async def test_text_in_bodies(admin: Caller, odd: str):
    for method, path, body in (
        ("POST", "/organizations", {"name": odd}),
        ("POST", "/organizations", {"name": "Fine", "settings": {"key": odd, odd: 1}}),
        ("POST", "/permissions", {"codename": "odd:one", "name": odd}),
        ("POST", "/groups", {"codename": "odd", "name": odd}),
        ("POST", "/features", {"name": "odd.flag", "description": odd}),
        ("PATCH", "/users/me", {"first_name": odd}),
        ("PATCH", "/users/me", {"user_metadata": {"key": odd}}),
        ("PUT", "/settings/profile", {"bio": odd}),
        ("POST", f"/users/{admin.id}/groups", {"groups": [odd]}),
        ("POST", "/api-keys", {"name": odd, "permissions": []}),
    ):
        # Escaped, because a client library would not send half of a surrogate pair itself.
        content = json.dumps(body).encode()
        answer = await admin.request(method, API + path, content=content, headers=JSON)
        assert answer.status_code < 500, (path, answer.text)


@pytest.mark.parametrize("odd", ["%00", "%ED%A0%80", "%FF", "%25_", "'--"])
async def test_text_in_queries(admin: Caller, odd: str):
    for path in ("organizations", "permissions", "features", "users"):
        answer = await admin.get(f"{API}/{path}?search={odd}")
        assert answer.status_code < 500, (path, answer.text)
        answer = await admin.get(f"{API}/{path}?cursor={odd}")
        assert answer.status_code < 500, (path, answer.text)
    assert (await admin.post(f"{API}/invitations/{odd}/accept")).status_code in {404, 422}


@pytest.mark.parametrize("forged", [None, [], [1, 2], ["a", "b"], {"": 1}, "ab"])
async def test_cursors_of_another_shape(admin: Caller, forged: Any):
    for path in ("organizations", "permissions", "features", "users", "groups", "api-keys"):
        await is_no_cursor(admin, path, forged)


@pytest.mark.parametrize(
    "values",
    [
        [None, None],
        ["a", "b"],
        [WHEN],
        [WHEN, "b"],
        [WHEN, 5],
        [WHEN, SOME_ID, SOME_ID],
        # Times that are none in UTC.
        ["0001-01-01T00:00:00+14:00", SOME_ID],
        ["9999-12-31T23:59:59-14:00", SOME_ID],
    ],
)
async def test_cursors_with_forged_values(admin: Caller, values: list[Any]):
    for path in ("organizations", "users", "api-keys"):
        await is_no_cursor(admin, path, ["", *values])


@pytest.mark.parametrize(
    "moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"]
)
async def test_times_at_the_ends_of_time(admin: Caller, moment: str):
    flag = (await admin.post(f"{API}/features", json={"name": unique("flag")})).json()["id"]
    key = {"name": "k", "permissions": [], "expires_at": moment}
    hook = {"name": unique("hook"), "url": "https://hooks.example.com/in", "events": ["*"]}
    webhook = (await admin.post(f"{API}/webhooks", json=hook)).json()["id"]
    answers = [
        await admin.post(f"{API}/api-keys", json=key),
        await admin.put(f"{API}/features/{flag}/grants", json={"starts_at": moment}),
        await admin.put(f"{API}/features/{flag}/grants", json={"ends_at": moment}),
        await admin.post(f"{API}/webhooks/{webhook}/replay", json={"since": moment}),
        await admin.get(f"{API}/activity", params={"since": moment}),
        await admin.get(f"{API}/activity", params={"until": moment}),
    ]
    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []
    if not moment.endswith("Z"):
        codes = {answer.json()["errors"][0]["code"] for answer in answers}
        assert codes == {"moment_impossible"}


@pytest.mark.parametrize(
    ("value", "code"), [(10**30, "not_for_json"), ("x" * 20_000, "metadata_too_large")]
)
async def test_what_may_hold_anything_holds_what_json_can(admin: Caller, value: Any, code: str):
    anything = {"a": value}
    for path, body in (
        ("/organizations", {"name": unique("big"), "settings": anything}),
        ("/activity", {"message": "m", "metadata": anything}),
        ("/activity", {"message": "m", "error_details": anything}),
    ):
        answer = await admin.post(API + path, json=body)
        assert answer.status_code == 422, (path, answer.text)
        assert answer.json()["errors"][0]["code"] == code


async def test_cursors_over_text(admin: Caller):
    for path, keys in (("features", 1), ("groups", 1), ("permissions", 2)):
        for value in (None, 5, [], {}, "a\x00"):
            await is_no_cursor(admin, path, ["", *[value] * keys])


async def test_cursors_over_numbers(admin: Caller):
    for value in ("9" * 30, "x", "1.5"):
        await is_no_cursor(admin, "upload/media", ["size_bytes", value, SOME_ID], sort="size_bytes")


async def is_no_cursor(caller: Caller, path: str, forged: Any, **params: str) -> None:
    answer = await caller.get(f"{API}/{path}", params={"cursor": forge(forged)} | params)
    assert (answer.status_code, answer.json().get("code")) == (422, "cursor_invalid"), path


def forge(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


async def test_a_body_that_does_not_say_its_length_is_counted_while_it_is_read(member: Caller):
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield b" " * 1_000_000

    headers = {"Content-Type": "application/json"}
    answer = await member.patch("/api/v1/users/me", content=endless(), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json"])
async def test_a_body_that_is_not_called_json_is_not_read_as_json(member: Caller, kind: str):
    body = b'{"first_name": "Ada"}'
    path, headers = f"{API}/users/me", {"Content-Type": kind}
    answer = await member.patch(path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    headers = {"Content-Type": "Application/Merge-Patch+JSON; charset=utf-8"}
    answer = await member.patch(path, content=body, headers=headers)
    assert (answer.status_code, answer.json()["first_name"]) == (200, "Ada")


async def test_who_may_not_is_told_so_before_the_kind_of_body(member: Caller):
    headers = {"Content-Type": "text/plain"}
    answer = await member.post(f"{API}/groups", content=b"x", headers=headers)
    assert answer.status_code == 403


async def test_a_sign_in_with_too_little_is_told_what_is_missing(member: Caller):
    for body in (
        {"data": {"username": "", "password": ""}},
        {"json": {"identifier": "", "password": ""}},
    ):
        answer = await member.client.post(f"{API}/auth/login", **body)
        assert answer.status_code == 422, answer.text
        details = {line["detail"] for line in answer.json()["errors"]}
        assert details == {"Needs 1 or more characters."}


@pytest.mark.parametrize("value", ["yes", "true", 1, 0, None])
async def test_a_boolean_is_true_or_false(admin: Caller, value: Any):
    for path, body, pointer in (
        ("/groups", {"codename": unique("odd"), "name": "Odd"}, "is_active"),
        ("/sql/query", {"query": "select 1"}, "read_only"),
        ("/tables", {"name": unique("odd"), "columns": []}, "if_not_exists"),
    ):
        answer = await admin.post(API + path, json=body | {pointer: value})
        assert answer.status_code == 422, (path, answer.text)
        assert f"#/{pointer}" in {error["pointer"] for error in answer.json()["errors"]}


async def test_a_boolean_in_a_query_may_be_a_word(admin: Caller):
    assert (await admin.get(f"{API}/groups", params={"is_active": "yes"})).status_code == 200
