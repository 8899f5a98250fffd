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
