"""Who gets through which door: every route by every kind of caller.

The routes come from the application and the expectation from the rule each one declares, so a
new route is in the table the moment it exists. Writes carry an Idempotency-Key that no route
accepts: it is refused right behind the door, so nothing is changed by having been let in.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, make_group, promoted, register, settled, sign_in
from tests.fixtures.app import SUPERUSER
from tests.fixtures.routes import Entry, entries
from tests.identity.test_organizations import Tenant, make_tenant
from undercroft.app import Application
from undercroft.foundation.access import (
    Authenticated,
    HalfSignedIn,
    Needs,
    Public,
    SignedIn,
    SteppedUp,
)
from undercroft.foundation.clock import utc_now
from undercroft.identity.auth.tokens import Subject, TokenType
from undercroft.identity.organizations.access import LoadOrganization
from undercroft.identity.organizations.models import OrganizationRole

API = "/api/v1"
NO_KEY = {"Idempotency-Key": "x" * 300}
REFUSED_BEHIND_THE_DOOR = "idempotency_key_invalid"
PASSES = 200
BAD_CREDENTIALS = ("suspended", "expired", "refresh token", "foreign token")
PEOPLE = ("user", "outsider", "guest", "member", "admin", "owner", "session token")


@dataclass
class Kind:
    """Headers of a kind of caller and what they hold."""

    headers: dict[str, str] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    is_person: bool = False
    is_known: bool = False
    is_bad: bool = False
    holds_all: bool = False

    def expected(self, entry: Entry) -> int:
        """200 stands for being let in."""
        match entry.rule:
            case Public(about_caller=about_caller):
                return 401 if about_caller and self.is_bad else PASSES
            case _ if not self.is_known:
                return 401
            # Everybody here has just signed in, and nobody has a second factor.
            case SignedIn() | SteppedUp() | HalfSignedIn():
                return PASSES if self.is_person else 403
            case Authenticated():
                return PASSES
            case Needs(name=name):
                return PASSES if self.holds_all or name in self.held else 403
        raise AssertionError(f"No expectation for the rule of {entry.path}: {entry.rule}")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def person(caller: Caller, **options: bool) -> Kind:
    held = (await caller.get(f"{API}/users/me/permissions")).json()["items"]
    return Kind(
        bearer(caller.tokens["access_token"]),
        frozenset(entry["codename"] for entry in held),
        is_person=True,
        is_known=True,
        **options,
    )


async def expired_token(app: Application, caller: Caller) -> str:
    subject = Subject(
        UUID(caller.id), UUID(caller.tokens["session_id"]), None, None, {}, {}, "", []
    )
    mint = app.control.state.identity.tokens.mint
    return str(await mint(subject, TokenType.ACCESS, timedelta(hours=-1), utc_now()))


async def group_member(app: Application, admin: Caller, client: httpx.AsyncClient) -> Caller:
    """Holds every permission that is declared, through a group, and is no superuser."""
    caller = await register(client, "grouped")
    names = [permission.name for permission in app.permissions]
    await promoted(admin, caller, await make_group(admin, *names))

    async def ready() -> bool:
        return (await caller.get(f"{API}/groups")).status_code == 200

    assert await settled(ready)
    return caller


async def key_of(app: Application, caller: Caller) -> Kind:
    names = [permission.name for permission in app.permissions]
    made = await caller.post(f"{API}/api-keys", json={"name": "all", "permissions": names})
    assert made.status_code == 201, made.text
    return Kind({"apikey": made.json()["key"]}, frozenset(names), is_known=True)


async def suspended(admin: Caller, client: httpx.AsyncClient) -> dict[str, str]:
    caller = await register(client, "suspended")
    assert (await admin.post(f"{API}/users/{caller.id}/suspend")).status_code == 200
    return bearer(caller.tokens["access_token"])


@pytest_asyncio.fixture(scope="session")
async def a_tenant(app: Application, client: httpx.AsyncClient) -> Tenant:
    return await make_tenant(app, client)


@pytest_asyncio.fixture(scope="session")
async def kinds(
    app: Application, client: httpx.AsyncClient, api_keys: dict[str, str], a_tenant: Tenant
) -> dict[str, Kind]:
    root = await sign_in(client, SUPERUSER)
    user = await register(client)
    grouped = await group_member(app, root, client)
    found = {
        "anonymous": Kind(),
        "anon key": Kind({"apikey": api_keys["anon"]}),
        "user": await person(user),
        "outsider": await person(await register(client, "outsider")),
        **{role: await person(caller) for role, caller in a_tenant.people.items()},
        "group member": await person(grouped),
        "API key": await key_of(app, grouped),
        "superuser": await person(root, holds_all=True),
        "service key": Kind({"apikey": api_keys["service_role"]}, is_known=True, holds_all=True),
        "suspended": Kind(await suspended(root, client), is_bad=True),
        "expired": Kind(bearer(await expired_token(app, user)), is_bad=True),
        "refresh token": Kind(bearer(user.tokens["refresh_token"]), is_bad=True),
        "foreign token": Kind(bearer("e30.e30.e30"), is_bad=True),
    }
    session = {"X-Session-Token": user.tokens["session_token"]}
    found["session token"] = Kind(session, found["user"].held, is_person=True, is_known=True)
    return found


CALLERS = (
    "anonymous",
    "anon key",
    *PEOPLE,
    "group member",
    "API key",
    "superuser",
    "service key",
    *BAD_CREDENTIALS,
)


def is_as_expected(entry: Entry, expected: int, answer: httpx.Response) -> bool:
    status = answer.status_code
    if status >= 500 and not entry.path.startswith("/health"):
        return False
    if expected != PASSES:
        return status == expected
    if entry.method != "GET" and not entry.streams:
        return answer.json()["code"] == REFUSED_BEHIND_THE_DOOR
    # Behind a door for anybody with credentials the object may still refuse.
    return status != 401 and (status != 403 or isinstance(entry.rule, Authenticated))


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_route_lets_in_whom_its_rule_names(
    app: Application, client: httpx.AsyncClient, kinds: dict[str, Kind], caller: str
):
    assert set(CALLERS) == set(kinds)
    kind, wrong = kinds[caller], []
    for entry in entries(app):
        headers = kind.headers | (NO_KEY if entry.method != "GET" else {})
        answer = await client.request(entry.method, entry.at(), headers=headers)
        expected = kind.expected(entry)
        if not is_as_expected(entry, expected, answer):
            wrong.append((entry.method, entry.path, expected, answer.status_code))
    assert not wrong


def needed_role(entry: Entry) -> OrganizationRole | None:
    for call in entry.dependencies():
        if isinstance(call, LoadOrganization):
            return call._needed
    return None


def tenant_entries(app: Application) -> list[tuple[Entry, OrganizationRole]]:
    found = ((entry, needed_role(entry)) for entry in entries(app))
    return [(entry, role) for entry, role in found if role]


def test_nothing_of_an_organization_is_without_a_door(app: Application):
    for entry in entries(app):
        if "{organization_id}" in entry.path:
            assert needed_role(entry) or isinstance(entry.rule, Needs), entry.path


# Anybody may leave; whom one may remove depends on both roles, behind the door.
DECIDED_BEHIND_THE_DOOR = {"remove_member"}


async def _enter(
    client: httpx.AsyncClient, entry: Entry, kind: Kind, tenant: Tenant
) -> httpx.Response:
    path = entry.at(organization_id=tenant.id)
    body = None if entry.method in {"GET", "DELETE"} else {}
    return await client.request(entry.method, path, headers=kind.headers, json=body)


@pytest.mark.parametrize("caller", ["guest", "member", "admin", "owner"])
async def test_every_route_of_an_organization_asks_for_a_role(
    app: Application,
    client: httpx.AsyncClient,
    kinds: dict[str, Kind],
    a_tenant: Tenant,
    caller: str,
):
    assert len(tenant_entries(app)) >= 12
    wrong = []
    for entry, needed in tenant_entries(app):
        if entry.name in DECIDED_BEHIND_THE_DOOR:
            continue
        reaches = OrganizationRole(caller).reaches(needed)
        tenant, kind = a_tenant, kinds[caller]
        if reaches and entry.name == "delete_organization":
            tenant = await make_tenant(app, client)  # it will be gone
            kind = await person(tenant.people[caller])
        answer = await _enter(client, entry, kind, tenant)
        code = answer.json().get("code") if answer.content else None
        let_in = code not in {"role_too_low", "organization_not_found"}
        if let_in != reaches or answer.status_code in {401, 500}:
            wrong.append((caller, entry.method, entry.path, answer.status_code, code))
    assert not wrong


@pytest.mark.parametrize("caller", ["user", "outsider"])
async def test_no_route_of_an_organization_shows_it_to_others(
    app: Application,
    client: httpx.AsyncClient,
    kinds: dict[str, Kind],
    a_tenant: Tenant,
    caller: str,
):
    for entry, _ in tenant_entries(app):
        answer = await _enter(client, entry, kinds[caller], a_tenant)
        assert answer.status_code == 404, (entry.method, entry.path, answer.text)
        unknown = await client.request(entry.method, entry.at(), headers=kinds[caller].headers)
        assert unknown.json()["code"] == answer.json()["code"] == "organization_not_found"
