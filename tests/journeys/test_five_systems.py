"""What docs/reference/systems.md promises, done: every endpoint that it names is called by whom it
is for, and answers as it should. The tests that the page names beside it show the refusals.
"""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.fixtures.actors import Caller, register, settled, sign_in, unique
from tests.fixtures.app import PASSWORD, SUPERUSER, make_client, running
from tests.fixtures.outbox import Outbox
from tests.fixtures.routes import entries
from tests.storage.media_support import picture
from undercroft.app import Application, create_app
from undercroft.foundation.settings import Environment, Settings

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "systems.md"
NAMED = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (P?)(/[^`]*)`")
API = "/api/v1"
NEW = "Another-Horse-43"
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
PDF = b"%PDF-1.4\n%%EOF"
# Of `PASSWORD`, as systems 1 to 4 kept it.
BCRYPT = "$2b$04$ivPLEAitN2DQW1FPrKLm6.LlKHQkyb4Bg6y0dfD.DcWgXxy4m5Fb2"
SEEN = "2026-11-22T10:00:00Z"

Route = tuple[str, str]


class Walk:
    """Calls, checks the answer's status, and remembers the route."""

    def __init__(self, app: Application, outbox: Outbox, client: httpx.AsyncClient) -> None:
        self.outbox = outbox
        self.client = client
        self.called: set[Route] = set()
        self._routes = {
            (entry.method, entry.path): re.compile(re.sub(r"{[^}]*}", "[^/]+", entry.path))
            for entry in entries(app)
        }

    async def __call__(
        self, who: Caller | None, method: str, path: str, status: int = 200, **options: Any
    ) -> Any:
        path = path.removeprefix("ROOT") if path.startswith("ROOT") else API + path
        request = who.request if who else self.client.request
        answer = await request(method, path, **options)
        assert answer.status_code == status, (method, path, answer.text)
        self.called.add(self._route(method, path.partition("?")[0]))
        is_json = answer.content and "json" in answer.headers["content-type"]
        return answer.json() if is_json else answer.content

    def _route(self, method: str, path: str) -> Route:
        """Of those that fit, the one with the fewest parameters, as the server chooses."""
        fitting = [
            route
            for route, shape in self._routes.items()
            if route[0] == method and shape.fullmatch(path)
        ]
        return min(fitting, key=lambda route: route[1].count("{"))


@pytest.fixture
async def walk(app: Application, outbox: Outbox) -> Any:
    async with make_client(app) as client:
        yield Walk(app, outbox, client)


def shape(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path)


async def ended(person: Caller) -> None:
    async def is_out() -> bool:
        return (await person.get(f"{API}/users/me")).status_code == 401

    assert await settled(is_out)


async def sign_up_by_code(walk: Walk) -> None:
    email = f"{unique('coded')}@example.com"
    by = {"identifier": email, "channel": "email"}
    free = await walk(None, "POST", "/auth/check-user-availability", json={"identifier": email})
    assert free == {"available": True}
    asked = {**by, "purpose": "sign_up"}
    await walk(None, "POST", "/auth/send-one-time-password", json=asked)
    otp = await walk.outbox.code(email)
    await walk(None, "POST", "/auth/verify-one-time-password", json={**asked, "otp": otp})
    made = await walk(None, "POST", "/auth/verify", 201, json={**by, "otp": otp})
    person = Caller(walk.client, email, "", made)
    await walk(person, "POST", "/auth/set-password", 204, json={"new_password": PASSWORD})
    await walk(None, "POST", "/auth/send-one-time-password", json={**by, "purpose": "sign_in"})
    otp = await walk.outbox.code(email)
    person.tokens = await walk(None, "POST", "/auth/login-with-otp", json={**by, "otp": otp})
    await walk(
        None, "POST", "/auth/send-one-time-password", json={**by, "purpose": "password_reset"}
    )
    forgot = {**by, "otp": await walk.outbox.code(email), "new_password": NEW}
    await walk(None, "POST", "/auth/forget-password", 204, json=forgot)
    await ended(person)
    await sign_in(walk.client, email, NEW)


async def sign_in_and_out(walk: Walk) -> None:
    email = f"{unique('signed')}@example.com"
    known = {"identifier": email, "password": PASSWORD}
    await walk(None, "POST", "/auth/register", 201, json=known)
    await walk(None, "GET", "ROOT/.well-known/jwks.json")
    tokens = await walk(None, "POST", "/auth/login", json=known)
    form = {"username": email, "password": PASSWORD}
    await walk(None, "POST", "/auth/login", data=form)
    await walk(None, "POST", "/auth/login-with-password", data=form)
    person = Caller(walk.client, email, PASSWORD, tokens)
    told = await walk(person, "GET", "/auth/token-info")
    assert told["session_id"] == tokens["session_id"]
    for path in ("/auth/refresh", "/auth/refresh-token"):
        body = {"refresh_token": person.tokens["refresh_token"]}
        person.tokens = {**tokens, **await walk(None, "POST", path, json=body)}
    sessions = (await walk(person, "GET", "/sessions"))["items"]
    other = next(one["id"] for one in sessions if not one["is_current"])
    await walk(person, "DELETE", f"/sessions/{other}", 204)
    await walk(person, "DELETE", "/sessions/expired")
    verify = {"identifier": email, "channel": "email", "purpose": "verify_contact"}
    sure = {**verify, "otp": await walk.outbox.code(email)}
    await walk(person, "POST", "/auth/verify-email-and-phone", json=sure)
    changed = {"current_password": PASSWORD, "new_password": NEW}
    await walk(person, "POST", "/auth/change-password", 204, json=changed)
    await walk(None, "POST", "/auth/password-reset/request", json={"identifier": email})
    link = (await walk.outbox.next(email, "password_reset"))["link"]
    reset = {"token": re.split(r"[=/]", link)[-1], "new_password": PASSWORD}
    await walk(None, "POST", "/auth/password-reset/confirm", 204, json=reset)
    for path, count in (("/auth/logout", 1), ("/auth/logout-all", 2)):
        callers = [await sign_in(walk.client, email) for _ in range(count)]
        done = await walk(callers[0], "POST", path)
        assert done["sessions_revoked"] == count
        await ended(callers[-1])


async def own_account(walk: Walk) -> None:
    person = await register(walk.client, "own")
    await walk(person, "GET", "/users/me")
    await walk(person, "PATCH", "/users/me", json={"first_name": "Ada"})
    for path in (
        "/users/me/groups",
        "/users/me/permissions",
        "/settings",
        "/settings/get-settings",
    ):
        await walk(person, "GET", path)
    await walk(person, "PUT", "/settings/profile", json={"bio": "First"})
    await walk(person, "POST", "/settings/update-profile", json={"country": "GB"})
    for name, value in (
        ("profile-language", {"language": "fr"}),
        ("update-theme", {"theme": "dark"}),
        ("update-timezone", {"timezone": "Europe/Paris"}),
        ("profile-accessibility", {"profile_accessibility": "public"}),
    ):
        await walk(person, "POST", f"/settings/{name}", json=value)
    read = await walk(person, "GET", "/settings/profile")
    assert (read["bio"], read["country"], read["theme"]) == ("First", "GB", "dark")
    await walk(person, "GET", f"/settings/profile/{person.id}")
    await walk(person, "GET", "/activity/me")
    await contacts(walk, person)
    changed = {"current_password": PASSWORD, "new_password": NEW}
    await walk(person, "PATCH", "/users/me/password", 204, json=changed)
    person = await sign_in(walk.client, person.identifier, NEW)
    await walk(person, "POST", "/settings/deactivate-account", 204)
    person = await register(walk.client, "gone")
    await walk(person, "POST", "/settings/delete-account?confirm=true", 204)


async def contacts(walk: Walk, person: Caller) -> None:
    email, phone = f"{unique('moved')}@example.com", f"+49151{abs(hash(unique('p'))) % 10**8:08}"
    asked = {"new_email": email}
    assert (await person.post(f"{API}/settings/change-email/request", json=asked)).is_success
    body = {"new_email": email, "otp": await walk.outbox.code(email)}
    await walk(person, "POST", "/settings/change-email", json=body)
    person.identifier = email
    await walk(person, "POST", "/settings/send-phone-otp", json={"new_phone": phone})
    body = {"new_phone": phone, "otp": await walk.outbox.code(phone)}
    await walk(person, "POST", "/settings/change-phone", json=body)


async def accounts(walk: Walk, admin: Caller) -> None:
    new = {"identifier": f"{unique('made')}@example.com", "password": PASSWORD}
    made = await walk(admin, "POST", "/users", 201, json=new)
    path = f"/users/{made['id']}"
    counted = await walk(admin, "GET", f"/users?search={new['identifier']}&count=exact")
    assert counted["total"] == 1
    await walk(admin, "PATCH", path, json={"first_name": "Grace"})
    assert (await walk(admin, "GET", path))["first_name"] == "Grace"
    await walk(admin, "PATCH", f"{path}/username", json={"username": unique("grace")})
    await walk(admin, "PATCH", f"{path}/password", 204, json={"new_password": NEW})
    for verb, status in (("deactivate", "deactivated"), ("activate", "active")):
        assert (await walk(admin, "POST", f"{path}/{verb}"))["status"] == status
    await walk(admin, "POST", f"{path}/groups", json={"groups": ["user", "moderator"]})
    await walk(admin, "GET", f"{path}/groups")
    await walk(admin, "GET", f"{path}/permissions")
    await walk(admin, "GET", f"{path}/activity")
    many = {"action": "deactivate", "user_ids": [made["id"]]}
    await walk(admin, "POST", "/users/bulk-action", json=many)
    await walk(admin, "DELETE", path, 204)
    await walk(admin, "GET", path, 404)


async def rights(walk: Walk, admin: Caller) -> None:
    name = unique("thing")
    new = {"codename": f"{re.sub('[0-9]', '', name)}s:read", "name": name}
    made = await walk(admin, "POST", "/permissions", 201, json=new)
    path = f"/permissions/{made['id']}"
    await walk(admin, "GET", "/permissions")
    await walk(admin, "PUT", path, json={"name": f"{name} too"})
    assert (await walk(admin, "GET", path))["name"] == f"{name} too"
    group = await walk(admin, "POST", "/groups", 201, json={"codename": name, "name": name})
    of_group = f"/groups/{group['id']}"
    await walk(admin, "GET", "/groups")
    await walk(admin, "POST", f"{of_group}/permissions", json={"permission_ids": [made["id"]]})
    await walk(admin, "PUT", of_group, json={"name": f"{name} too"})
    await walk(admin, "GET", of_group)
    await walk(admin, "DELETE", of_group, 204)
    await walk(admin, "DELETE", path, 204)


async def tenants(walk: Walk, admin: Caller) -> None:
    owner, other = await register(walk.client, "owner"), await register(walk.client, "other")
    made = await walk(owner, "POST", "/organizations", 201, json={"name": unique("Org")})
    path = f"/organizations/{made['id']}"
    await walk(owner, "GET", "/organizations")
    await walk(owner, "PATCH", path, json={"name": "Renamed"})
    assert (await walk(owner, "GET", path))["name"] == "Renamed"
    joins = {"user_id": other.id, "role": "member"}
    await walk(admin, "POST", f"{path}/members", 201, json=joins)
    await walk(owner, "GET", f"{path}/members")
    await walk(owner, "PATCH", f"{path}/members/{other.id}", json={"role": "admin"})
    flag = {"name": unique("flag").lower()}
    feature = await walk(admin, "POST", "/features", 201, json=flag)
    await walk(admin, "GET", "/features")
    await walk(admin, "PATCH", f"/features/{feature['id']}", json={"description": "New"})
    await walk(admin, "PUT", f"{path}/features", json={"features": [flag["name"]]})
    await walk(owner, "GET", f"{path}/features")
    await walk(admin, "DELETE", f"/features/{feature['id']}", 204)
    await sites(walk, admin, owner, path, other)
    await walk(owner, "DELETE", f"{path}/members/{other.id}", 204)
    await walk(owner, "DELETE", path, 204)


async def sites(walk: Walk, admin: Caller, owner: Caller, organization: str, other: Caller) -> None:
    made = await walk(owner, "POST", "/sites", 201, json={"name": unique("Site")})
    path = f"/sites/{made['id']}"
    await walk(owner, "GET", "/sites")
    await walk(owner, "PATCH", path, json={"name": "Quay"})
    await walk(owner, "PUT", f"{path}/users/{other.id}")
    await walk(owner, "DELETE", f"{path}/users/{other.id}", 204)
    seen = {"stream_name": "gate", "detected_at": SEEN}
    violation = await walk(owner, "POST", f"{path}/violations", 201, json=seen)
    await walk(owner, "GET", f"{path}/violations")
    await walk(owner, "PUT", f"{path}/violations/{violation['id']}/image", content=PNG)
    limit = f"{organization}/stream-limit"
    await walk(admin, "PATCH", limit, json={"max_allowed_streams": 1})
    gate = {"name": "gate", "video_url": "rtsp://10.0.0.7/live"}
    stream = await walk(owner, "POST", f"{path}/streams", 201, json=gate)
    await walk(owner, "POST", f"{path}/streams", 403, json={**gate, "name": "more"})
    assert (await walk(owner, "GET", limit))["current_streams_count"] == 1
    await walk(owner, "GET", f"{path}/streams")
    await walk(owner, "PATCH", f"/streams/{stream['id']}", json={"work_start_hour": 6})
    await walk(owner, "DELETE", f"/streams/{stream['id']}", 204)
    await walk(owner, "DELETE", path, 204)


async def catalogue(walk: Walk, admin: Caller) -> None:
    new = {"name": unique("Author"), "age": 50}
    author = (await walk(admin, "POST", "/authors", 201, json=new))["id"]
    await walk(admin, "PUT", f"/authors/{author}", json=new)
    await walk(admin, "PATCH", f"/authors/{author}", json={"age": 51})
    assert (await walk(None, "GET", f"/authors/{author}"))["age"] == 51
    await walk(None, "GET", "/authors")
    shared = {"title": "Ronja", "genre": "comedy", "author_id": author}
    for noun, fields, change in (
        ("movies", {"year_of_issue": 1984}, {"year_of_issue": 1985}),
        ("series", {"episodes": 6, "seasons": 1}, {"seasons": 2}),
    ):
        made = await walk(admin, "POST", f"/{noun}", 201, json=shared | fields)
        path = f"/{noun}/{made['id']}"
        await walk(None, "GET", f"/{noun}")
        await walk(admin, "PATCH", path, json=change)
        assert (await walk(None, "GET", path)) | change == await walk(None, "GET", path)
        await walk(admin, "PUT", path, json=shared | fields)
        assert (await walk(None, "GET", path)) | fields == await walk(None, "GET", path)
        assert (await walk(None, "GET", f"{path}/author"))["id"] == author
        works = (await walk(None, "GET", f"/authors/{author}/{noun}"))["items"]
        assert [work["id"] for work in works] == [made["id"]]
        await walk(admin, "DELETE", path, 204)
    await walk(admin, "DELETE", f"/authors/{author}", 204)


async def tables(walk: Walk, admin: Caller) -> None:
    columns = [{"name": "id", "type": "bigint", "primary_key": True, "identity": True}]
    new = {
        "name": unique("notes").lower(),
        "columns": [*columns, {"name": "words", "type": "text"}],
    }
    await walk(admin, "POST", "/tables", 201, json=new)
    path = f"/tables/{new['name']}"
    await walk(admin, "GET", "/tables")
    await walk(admin, "PATCH", path, json={"description": "Notes"})
    assert (await walk(admin, "GET", path))["description"] == "Notes"
    await walk(admin, "POST", f"{path}/columns", 201, json={"name": "mood", "type": "text"})
    await walk(admin, "PATCH", f"{path}/columns/mood", json={"name": "tone"})
    await walk(admin, "DELETE", f"{path}/columns/tone", 204)
    past = "past_row_security=true"
    await walk(admin, "POST", f"{path}/data?{past}", 201, json={"words": "one"})
    await walk(admin, "PUT", f"{path}/data/1?{past}", json={"words": "two"})
    found = await walk(admin, "GET", f"{path}/data?{past}")
    assert "two" in str(found)
    await walk(admin, "DELETE", f"{path}/data/1?{past}", 204)
    await walk(admin, "GET", f"{path}/sql")
    await walk(admin, "GET", "/schema")
    await walk(admin, "GET", "/schema/visualization")
    await walk(admin, "DELETE", path, 204)


async def console(walk: Walk, admin: Caller) -> None:
    ran = await walk(admin, "POST", "/sql/query", json={"query": "SELECT 1 AS one; SELECT 2"})
    assert len(ran["results"]) == 2
    await walk(admin, "POST", "/sql/explain", json={"query": "SELECT 1"})
    await walk(admin, "GET", "/sql/history")
    kept = {"name": unique("kept"), "sql_code": "SELECT 1"}
    snippet = await walk(admin, "POST", "/sql/snippets", 201, json=kept)
    await walk(admin, "GET", "/sql/snippets")
    path = f"/sql/snippets/{snippet['id']}"
    await walk(admin, "PUT", path, json={"is_shared": True})
    await walk(admin, "DELETE", path, 204)
    name = unique("twice").lower()
    code = f"CREATE FUNCTION {name}(n int) RETURNS int LANGUAGE sql AS 'SELECT {{}} * n'"
    checked = await walk(admin, "POST", "/functions/validate", json={"definition": code.format(2)})
    assert checked["valid"] is True
    made = await walk(admin, "POST", "/functions", 201, json={"definition": code.format(2)})
    path = f"/functions/{made['id']}"
    changed = code.format(3).replace("CREATE", "CREATE OR REPLACE")
    await walk(admin, "PUT", path, json={"definition": changed})
    assert len((await walk(admin, "GET", f"{path}/versions"))["items"]) == 2
    await walk(admin, "POST", f"{path}/restore", json={"version": 1})
    await walk(admin, "GET", path)
    await walk(admin, "GET", "/functions")
    await walk(admin, "DELETE", path, 204)


async def operations(walk: Walk, admin: Caller) -> None:
    entry = await walk(admin, "POST", "/activity", 201, json={"message": "By hand"})
    assert (await walk(admin, "GET", f"/activity/{entry['id']}"))["message"] == "By hand"
    for path in ("/activity", "/activity/statistics", "/activity/export"):
        await walk(admin, "GET", path)
    await walk(admin, "DELETE", "/activity?older_than=3650")
    for name in (
        *("overview", "users-by-status", "users-by-type", "users-by-auth-type"),
        *("users-by-country", "users-by-language", "user-growth", "role-statistics"),
        *("recent-sign-ins", "all-statistics"),
    ):
        await walk(admin, "GET", f"/dashboard/{name}")
    told = await walk(None, "GET", "ROOT/health")
    assert {"status", "version", "environment", "database", "time"} <= set(told)
    await walk(None, "GET", "/health")
    for name in ("system", "database", "storage"):
        await walk(admin, "GET", f"/health/{name}")
    # Nobody takes errors here: tests/operations/test_health.py has somebody who does.
    await walk(admin, "GET", "/health/test-sentry", 409)


async def uploads(walk: Walk) -> None:
    person = await register(walk.client, "uploads")
    part = {"file": ("notes.pdf", PDF, "application/pdf")}
    made = await walk(person, "POST", "/upload/media", 201, files=part)
    listed = (await walk(person, "GET", "/upload/media"))["items"]
    assert [one["id"] for one in listed] == [made["id"]]
    await walk(person, "DELETE", f"/upload/media/{made['id']}", 204)
    part = {"file": ("me.png", picture(), "image/png")}
    await walk(person, "POST", "/settings/profile-picture", files=part)


async def test_every_endpoint_that_the_page_names_answers(walk: Walk):
    admin = await sign_in(walk.client, SUPERUSER)
    await sign_up_by_code(walk)
    await sign_in_and_out(walk)
    await own_account(walk)
    await uploads(walk)
    for story in (accounts, rights, tenants, catalogue, tables, console, operations):
        await story(walk, admin)
    called = {(method, shape(path)) for method, path in walk.called}
    named = {
        (method, shape(API + path if prefixed else path))
        for method, prefixed, path in NAMED.findall(PAGE.read_text())
    }
    assert named - called == set()


class TestPromises:
    """What the READMEs say beside their endpoints."""

    async def test_every_route_is_below_its_mode_and_health_at_the_root_too(
        self, settings: Settings
    ):
        chosen = settings.model_copy(update={"mode": "prod/v1"})
        async with running(create_app(chosen)) as app, make_client(app) as client:
            for path in ("/health", "/prod/v1/health", "/prod/v1/openapi.json", "/docs", "/redoc"):
                assert (await client.get(path)).status_code == 200, path
            assert (await client.get("/api/v1/health")).status_code == 404
            login = {"identifier": SUPERUSER, "password": PASSWORD}
            assert (await client.post("/prod/v1/auth/login", json=login)).status_code == 200

    @pytest.mark.parametrize("mode", ["strict", "relaxed", "disabled"])
    async def test_browsers_are_told_what_they_may(self, settings: Settings, mode: str):
        http = settings.http.model_copy(
            update={"csp_mode": mode, "cors_origins": ("https://app.example.com",)}
        )
        chosen = settings.model_copy(update={"http": http, "environment": Environment.PRODUCTION})
        async with running(create_app(chosen)) as app, make_client(app) as client:
            plain = (await client.get("/health")).headers
            asked = {"Access-Control-Request-Method": "PATCH"}
            ours, theirs = [
                await client.options(f"{API}/users/me", headers={"Origin": origin, **asked})
                for origin in ("https://app.example.com", "https://evil.example.com")
            ]
        assert ("content-security-policy" in plain) is (mode != "disabled")
        assert plain["x-frame-options"] == "DENY"
        assert {"strict-transport-security", "referrer-policy", "permissions-policy"} <= set(plain)
        assert ours.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "access-control-allow-origin" not in theirs.headers

    async def test_passwords_hashed_by_bcrypt_are_taken_over(
        self, app: Application, client: httpx.AsyncClient
    ):
        person = await register(client, "bcrypt")
        read = text("SELECT password_hash FROM auth.users WHERE id = :id")
        write = text("UPDATE auth.users SET password_hash = :hash WHERE id = :id")
        async with app.parts.database.unit_of_work() as session:
            await session.execute(write, {"id": person.id, "hash": BCRYPT})
        await sign_in(client, person.identifier, PASSWORD)
        async with app.parts.database.unit_of_work() as session:
            found = await session.scalar(read, {"id": person.id})
        assert found.startswith("$argon2id$")
