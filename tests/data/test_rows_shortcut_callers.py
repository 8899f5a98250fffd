"""Whose reads take the shortcut: nobody's whom the ordinary way does not let in."""

import httpx

from tests.data.test_rows import notes_of_their_owners
from tests.fixtures.actors import Caller, settled, sign_in
from tests.fixtures.app import make_client, running
from tests.fixtures.engines import EngineAddresses
from tests.fixtures.rows import Reply
from tests.identity.test_second_factors import add_totp
from undercroft.app import Application, create_app
from undercroft.foundation.settings import Settings

Headers = dict[str, str]
HOME, ELSEWHERE = {"origin": "https://app.example.com"}, {"origin": "https://evil.example.com"}


def bearer(caller: Caller) -> Headers:
    return {"authorization": f"Bearer {caller.tokens['access_token']}"}


def is_taken(app: Application, path: str, headers: Headers, query: str = "") -> bool:
    scope = {
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    assert app.shortcut
    return app.shortcut(scope, Reply()) is not None


async def status(client: httpx.AsyncClient, path: str, headers: Headers) -> int:
    """That of the ordinary way, with the headers of `is_taken` and no others."""
    request = httpx.Request("GET", f"http://undercroft.test{path}", headers=headers)
    del request.headers["host"]
    return (await client.send(request)).status_code


async def test_credentials_are_both_looked_at(
    app: Application,
    client: httpx.AsyncClient,
    admin: Caller,
    member: Caller,
    outsider: Caller,
    api_keys: dict[str, str],
):
    path = await notes_of_their_owners(admin)
    known, key = bearer(member), {"apikey": api_keys["anon"]}
    for headers in (known, bearer(outsider), known | key):
        assert await status(client, path, headers) == 200
        assert is_taken(app, path, headers)
    theirs = {"apikey": outsider.tokens["access_token"]}
    broken = {"authorization": known["authorization"] + "x"}
    for headers in ({}, theirs, known | theirs, known | {"apikey": "no"}, broken, broken | key):
        assert not is_taken(app, path, headers)
        assert await status(client, path, headers) == 401


async def test_who_signed_out_or_only_half_in(
    app: Application, client: httpx.AsyncClient, admin: Caller, member: Caller, outsider: Caller
):
    path = await notes_of_their_owners(admin)
    for caller in (member, outsider):
        assert await status(client, path, bearer(caller)) == 200
        assert is_taken(app, path, bearer(caller))
    gone = bearer(member)
    assert (await member.post("/api/v1/auth/logout")).status_code < 300

    async def is_over() -> bool:
        return not is_taken(app, path, gone)

    assert await settled(is_over)
    assert await status(client, path, gone) == 401
    await add_totp(outsider)
    half = bearer(await sign_in(client, outsider.identifier))
    for _ in range(2):
        refused = await client.get(path, headers=half)
        assert (refused.status_code, refused.json()["code"]) == (401, "PGRST301")
        assert "second factor" in refused.json()["message"]
        assert not is_taken(app, path, half)
    files = await client.get("/storage/v1/bucket", headers=half)
    assert "authenticator code" in files.text


async def test_tokens_bound_to_an_origin(
    engines: EngineAddresses, database: str, settings: Settings, admin: Caller, member: Caller
):
    path = await notes_of_their_owners(admin)
    bound = settings.auth.model_copy(update={"bind_origin": True})
    app = create_app(engines.settings(database, auth=bound))
    body = {"identifier": member.identifier, "password": member.password}
    async with running(app), make_client(app) as client:
        login = await client.post("/api/v1/auth/login", json=body, headers=HOME)
        token = {"authorization": f"Bearer {login.json()['access_token']}"}
        assert await status(client, path, token | HOME) == 200
        assert is_taken(app, path, token | HOME)
        for origin in (ELSEWHERE, {}):
            assert not is_taken(app, path, token | origin)
            assert await status(client, path, token | origin) == 401


async def test_more_than_may_be_sent(
    app: Application, client: httpx.AsyncClient, admin: Caller, member: Caller, settings: Settings
):
    path, known = await notes_of_their_owners(admin), bearer(member)
    assert await status(client, path, known) == 200
    assert is_taken(app, path, known)
    assert not is_taken(app, path, known | {"x-long": "x" * int(settings.http.max_header_bytes)})
    assert not is_taken(app, path, known, "a" * (int(settings.http.max_query_bytes) + 1))
    assert not is_taken(app, path, known | {"transfer-encoding": "chunked"})
