"""Input that no screen sends: refused in a sentence, never a 500."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.fixtures.actors import Caller

API = "/api/v1"
JSON = {"Content-Type": "application/json"}
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


@pytest.mark.parametrize("cursor", ["bnVsbA", "W10", "WzEsMl0", "WyJhIiwiYiJd", "W251bGwsbnVsbF0"])
async def test_forged_cursors(admin: Caller, cursor: str):
    for path in ("organizations", "permissions", "features", "users", "groups", "api-keys"):
        answer = await admin.get(f"{API}/{path}?cursor={cursor}")
        assert answer.status_code in {200, 422}, (path, answer.text)


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
