"""Organizations, members, invitations, and what no role may do."""

import asyncio
from collections.abc import Iterable
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.actors import (
    Caller,
    make_group,
    promoted,
    register,
    settled,
    sign_in,
    unique,
)
from tests.fixtures.app import PASSWORD
from tests.fixtures.policies import PolicyCaller, claims_of
from tests.fixtures.query_counter import QueryCounter
from undercroft.app import Application
from undercroft.identity.organizations.invitations import describe_invitation, invitation_token

API = "/api/v1"


async def found(owner: Caller, **fields: object) -> str:
    """Id of a new organization."""
    body = {"name": unique("Engines"), **fields}
    made = await owner.post(f"{API}/organizations", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def invite(app: Application, by: Caller, organization: str, email: str, role: str) -> str:
    """The token that only the mail has."""
    path = f"{API}/organizations/{organization}/invitations"
    sent = await by.post(path, json={"email": email, "role": role})
    assert sent.status_code == 201, sent.text
    assert sent.json()["token"] is None
    return invitation_token(app.parts.keyring, UUID(sent.json()["id"]))


class Tenant:
    """An organization with somebody in every role."""

    def __init__(self, organization: str, people: dict[str, Caller]) -> None:
        self.id = organization
        self.path = f"{API}/organizations/{organization}"
        self.people = people

    def __getattr__(self, role: str) -> Caller:
        return self.people[role]


async def make_tenant(app: Application, client: httpx.AsyncClient) -> Tenant:
    owner = await register(client, "owner")
    organization = await found(owner)
    people = {"owner": owner}
    for role in ("admin", "member", "guest"):
        person = await register(client, role)
        token = await invite(app, owner, organization, person.identifier, role)
        joined = await person.post(f"{API}/invitations/{token}/accept")
        assert joined.status_code == 200, joined.text
        people[role] = person
    return Tenant(organization, people)


@pytest_asyncio.fixture
async def tenant(app: Application, client: httpx.AsyncClient) -> Tenant:
    return await make_tenant(app, client)


async def statuses(answers: Iterable[httpx.Response]) -> dict[int, int]:
    counted: dict[int, int] = {}
    for answer in answers:
        counted[answer.status_code] = counted.get(answer.status_code, 0) + 1
    return counted


class TestFound:
    async def test_creator_owns_it(self, member: Caller):
        organization = await found(member, slug=unique("acme"), uniform_number=None)
        mine = (await member.get(f"{API}/organizations")).json()["items"]
        assert [(one["id"], one["role"], one["member_count"]) for one in mine] == [
            (organization, "owner", 1)
        ]
        assert mine[0]["max_allowed_streams"] == 8

    async def test_slug_and_number_are_unique(self, member: Caller, outsider: Caller):
        slug, number = unique("acme"), f"{abs(hash(unique('n'))) % 10**8:08}"
        await found(member, slug=slug, uniform_number=number)
        body = {"name": "Twice", "slug": slug}
        again = await outsider.post(f"{API}/organizations", json=body)
        assert (again.status_code, again.json()["code"]) == (409, "slug_taken")
        body = {"name": "Twice", "uniform_number": number}
        again = await outsider.post(f"{API}/organizations", json=body)
        assert (again.status_code, again.json()["code"]) == (409, "uniform_number_taken")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": ""},
            {"name": "   "},
            {"slug": "Not Good"},
            {"slug": "-a"},
            {"slug": "a--b"},
            {"uniform_number": "1234567"},
            {"uniform_number": "abcdefgh"},
            {"surprise": 1},
        ],
    )
    async def test_refuses_bad_fields(self, member: Caller, wrong: dict[str, object]):
        answer = await member.post(f"{API}/organizations", json={"name": "Fine"} | wrong)
        assert answer.status_code == 422

    async def test_fifty_at_once_get_one_slug(self, member: Caller):
        body = {"name": "Race", "slug": unique("race")}
        answers = await asyncio.gather(
            *(member.post(f"{API}/organizations", json=body) for _ in range(50))
        )
        assert await statuses(answers) == {201: 1, 409: 49}

    async def test_nobody_sets_their_own_limits(self, member: Caller):
        answer = await member.post(
            f"{API}/organizations", json={"name": "Big", "max_allowed_streams": 99}
        )
        assert answer.status_code == 403
        organization = await found(member)
        path = f"{API}/organizations/{organization}"
        for change in ({"max_members": 5}, {"max_allowed_streams": 99}, {"is_active": False}):
            assert (await member.patch(path, json=change)).status_code == 403

    async def test_names_without_letters_get_a_slug_too(self, member: Caller):
        organization = await found(member, name="株式会社")
        read = (await member.get(f"{API}/organizations/{organization}")).json()
        assert read["slug"].startswith("organization-")


class TestTenancy:
    async def test_does_not_exist_for_outsiders(self, tenant: Tenant, outsider: Caller):
        user = tenant.member.id
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"name": "Mine"}),
            ("DELETE", "", None),
            ("GET", "/members", None),
            ("POST", "/members", {"user_id": outsider.id}),
            ("PATCH", f"/members/{user}", {"role": "guest"}),
            ("DELETE", f"/members/{user}", None),
            ("POST", "/transfer", {"user_id": outsider.id}),
            ("GET", "/invitations", None),
            ("POST", "/invitations", {"email": "x@example.com"}),
        ):
            answer = await outsider.request(method, tenant.path + path, json=body)
            assert answer.status_code == 404, (method, path, answer.text)

    async def test_superusers_and_the_service_key_see_all(
        self, tenant: Tenant, admin: Caller, service: Caller
    ):
        for caller in (admin, service):
            assert (await caller.get(tenant.path)).status_code == 200
            everything = await caller.get(f"{API}/organizations?all=true&limit=100")
            assert tenant.id in {one["id"] for one in everything.json()["items"]}
        assert (await tenant.owner.get(f"{API}/organizations?all=true")).status_code == 403

    async def test_key_acts_in_its_organization_only(
        self, client: httpx.AsyncClient, admin: Caller, tenant: Tenant, member: Caller
    ):
        await promoted(admin, tenant.owner, await make_group(admin, "api_keys:create"))
        body = {"name": "k", "permissions": [], "organization_id": tenant.id}

        async def made() -> bool:
            self.answer = await tenant.owner.post(f"{API}/api-keys", json=body)
            return self.answer.status_code == 201

        assert await settled(made)
        headers = {"apikey": self.answer.json()["key"]}
        other = await found(member)
        assert (await client.get(tenant.path, headers=headers)).status_code == 200
        foreign = await client.get(f"{API}/organizations/{other}", headers=headers)
        assert foreign.status_code == 404
        change = await client.patch(tenant.path, json={"name": "x"}, headers=headers)
        assert change.status_code == 403
        elsewhere = await tenant.owner.post(
            f"{API}/api-keys", json=body | {"organization_id": other}
        )
        assert elsewhere.status_code == 404


class TestRoles:
    async def test_what_each_role_may(self, tenant: Tenant):
        rows = [
            ("GET", "", None, (200, 200, 200, 200)),
            ("GET", "/members", None, (200, 200, 200, 403)),
            ("GET", "/invitations", None, (200, 200, 403, 403)),
            ("PATCH", "", {"description": "x"}, (200, 200, 403, 403)),
            ("POST", "/invitations", {"email": "new@example.com"}, (201, 201, 403, 403)),
            ("POST", "/members", {"user_id": tenant.owner.id}, (403, 403, 403, 403)),
            ("POST", "/transfer", {"user_id": tenant.guest.id}, (None, 403, 403, 403)),
            ("DELETE", "", None, (None, 403, 403, 403)),
        ]
        for method, path, body, expected in rows:
            for role, status in zip(("owner", "admin", "member", "guest"), expected, strict=True):
                if status is None:
                    continue
                caller = tenant.people[role]
                answer = await caller.request(method, tenant.path + path, json=body)
                assert answer.status_code == status, (method, path, role, answer.text)

    async def test_admins_do_not_touch_owners(self, tenant: Tenant):
        owner = f"{tenant.path}/members/{tenant.owner.id}"
        assert (await tenant.admin.patch(owner, json={"role": "member"})).status_code == 403
        assert (await tenant.admin.delete(owner)).status_code == 403
        for target in (tenant.admin, tenant.member):
            path = f"{tenant.path}/members/{target.id}"
            assert (await tenant.admin.patch(path, json={"role": "owner"})).status_code == 403
        body = {"email": "boss@example.com", "role": "owner"}
        invited = await tenant.admin.post(f"{tenant.path}/invitations", json=body)
        assert invited.status_code == 403
        member = f"{tenant.path}/members/{tenant.member.id}"
        assert (await tenant.admin.patch(member, json={"role": "guest"})).status_code == 200
        assert (await tenant.admin.delete(member)).status_code == 204

    async def test_members_leave_but_remove_nobody(self, tenant: Tenant):
        other = f"{tenant.path}/members/{tenant.guest.id}"
        assert (await tenant.member.delete(other)).status_code == 403
        own = f"{tenant.path}/members/{tenant.member.id}"
        assert (await tenant.member.delete(own)).status_code == 204
        assert (await tenant.member.get(tenant.path)).status_code == 404

    async def test_addresses_are_for_admins(self, tenant: Tenant):
        seen = (await tenant.admin.get(f"{tenant.path}/members")).json()["items"]
        assert all(person["email"] for person in seen)
        seen = (await tenant.member.get(f"{tenant.path}/members?count=exact")).json()
        assert seen["total"] == 4
        assert not any(person["email"] for person in seen["items"])

    async def test_transfer_makes_the_caller_an_admin(self, tenant: Tenant):
        body = {"user_id": tenant.member.id}
        assert (await tenant.owner.post(f"{tenant.path}/transfer", json=body)).status_code == 200
        assert (await tenant.owner.get(tenant.path)).json()["role"] == "admin"
        assert (await tenant.member.get(tenant.path)).json()["role"] == "owner"
        assert (await tenant.owner.delete(tenant.path)).status_code == 403
        assert (await tenant.member.delete(tenant.path)).status_code == 204

    async def test_switched_off_it_can_only_be_read(self, tenant: Tenant, admin: Caller):
        assert (await admin.patch(tenant.path, json={"is_active": False})).status_code == 200
        assert (await tenant.owner.get(tenant.path)).status_code == 200
        assert (await tenant.owner.patch(tenant.path, json={"name": "x"})).status_code == 403


class TestLastOwner:
    async def test_stays(self, tenant: Tenant, admin: Caller):
        path = f"{tenant.path}/members/{tenant.owner.id}"
        for caller in (tenant.owner, admin):
            for answer in (
                await caller.delete(path),
                await caller.patch(path, json={"role": "admin"}),
            ):
                assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")

    async def test_one_remains_when_all_leave_at_once(self, tenant: Tenant):
        owners = list(tenant.people.values())
        for person in owners[1:]:
            path = f"{tenant.path}/members/{person.id}"
            assert (await tenant.owner.patch(path, json={"role": "owner"})).status_code == 200
        answers = await asyncio.gather(
            *(
                person.delete(f"{tenant.path}/members/{person.id}")
                for _ in range(13)
                for person in owners
            )
        )
        counted = await statuses(answers)
        assert counted[204] == 3
        assert set(counted) <= {204, 404, 409}
        left = [p for p in owners if (await p.get(tenant.path)).status_code == 200]
        assert len(left) == 1


class TestInvitations:
    async def test_fifty_acceptances_give_one_seat(
        self, app: Application, tenant: Tenant, outsider: Caller
    ):
        token = await invite(app, tenant.admin, tenant.id, outsider.identifier, "member")
        answers = await asyncio.gather(
            *(outsider.post(f"{API}/invitations/{token}/accept") for _ in range(50))
        )
        assert await statuses(answers) == {200: 1, 404: 49}

    async def test_last_seat_goes_to_one(
        self, app: Application, client: httpx.AsyncClient, tenant: Tenant, admin: Caller
    ):
        people = await asyncio.gather(*(register(client, "late") for _ in range(10)))
        tokens = [
            await invite(app, tenant.owner, tenant.id, one.identifier, "guest") for one in people
        ]
        assert (await admin.patch(tenant.path, json={"max_members": 5})).status_code == 200
        answers = await asyncio.gather(
            *(
                person.post(f"{API}/invitations/{token}/accept")
                for _ in range(5)
                for person, token in zip(people, tokens, strict=True)
            )
        )
        counted = await statuses(answers)
        assert counted[200] == 1
        assert set(counted) <= {200, 404, 409}
        members = await tenant.owner.get(f"{tenant.path}/members?count=exact")
        assert members.json()["total"] == 5

    async def test_is_bound_to_the_address(
        self, app: Application, tenant: Tenant, member: Caller, outsider: Caller
    ):
        token = await invite(app, tenant.owner, tenant.id, member.identifier, "member")
        stolen = await outsider.post(f"{API}/invitations/{token}/accept")
        assert stolen.status_code == 403
        assert (await member.post(f"{API}/invitations/{token}/accept")).status_code == 200

    async def test_is_remembered_by_the_account_that_came_of_it(
        self, app: Application, client: httpx.AsyncClient, tenant: Tenant, member: Caller
    ):
        address = f"{unique('newcomer')}@example.com"
        token = await invite(app, tenant.owner, tenant.id, address, "member")
        body = {"identifier": address, "password": PASSWORD}
        assert (await client.post(f"{API}/auth/register", json=body)).status_code == 201
        newcomer = await sign_in(client, address)
        older = await invite(app, tenant.owner, tenant.id, member.identifier, "member")
        for person, secret, inviter in (
            (newcomer, token, tenant.owner.id),
            (member, older, None),
        ):
            accepted = await person.post(f"{API}/invitations/{secret}/accept")
            assert accepted.status_code == 200
            assert (await person.get(f"{API}/users/me")).json()["invited_by"] == inviter

    async def test_a_new_one_replaces_the_old_and_can_be_withdrawn(
        self, app: Application, tenant: Tenant, member: Caller
    ):
        old = await invite(app, tenant.owner, tenant.id, member.identifier, "member")
        new = await invite(app, tenant.owner, tenant.id, member.identifier, "guest")
        assert (await member.post(f"{API}/invitations/{old}/accept")).status_code == 404
        listed = (await tenant.owner.get(f"{tenant.path}/invitations")).json()["items"]
        (ours,) = [one for one in listed if one["email"] == member.identifier]
        gone = await tenant.owner.delete(f"{tenant.path}/invitations/{ours['id']}")
        assert gone.status_code == 204
        assert (await member.post(f"{API}/invitations/{new}/accept")).status_code == 404

    async def test_ends_with_the_say_of_who_sent_it(
        self, app: Application, tenant: Tenant, member: Caller
    ):
        token = await invite(app, tenant.admin, tenant.id, member.identifier, "admin")
        path = f"{tenant.path}/members/{tenant.admin.id}"
        assert (await tenant.owner.patch(path, json={"role": "member"})).status_code == 200
        assert (await member.post(f"{API}/invitations/{token}/accept")).status_code == 404

    async def test_mail_has_what_it_needs(self, app: Application, tenant: Tenant, member: Caller):
        path = f"{tenant.path}/invitations"
        sent = await tenant.owner.post(path, json={"email": member.identifier.upper()})
        invitation = UUID(sent.json()["id"])
        async with app.parts.database.unit_of_work() as session:
            mail = await describe_invitation(session, app.parts.keyring, invitation)
        assert mail
        assert (mail.email, mail.inviter) == (member.identifier, tenant.owner.identifier)
        joined = await member.post(f"{API}/invitations/{mail.token}/accept")
        assert joined.json()["role"] == "member"


class TestBudgets:
    async def test_lists_take_three_queries(self, tenant: Tenant, query_counter: QueryCounter):
        for path in (
            f"{API}/organizations",
            f"{tenant.path}/members",
            f"{tenant.path}/invitations",
        ):
            await tenant.owner.get(path)
            with query_counter() as count:
                await tenant.owner.get(path)
            assert len(count) <= 3, count.statements


class TestInPolicies:
    async def test_orgs_and_role(self, as_caller: PolicyCaller, tenant: Tenant, outsider: Caller):
        mine = "SELECT $1::uuid IN (SELECT auth.orgs())"
        role = "SELECT auth.org_role($1)"
        assert await as_caller(claims_of(tenant.guest), mine, tenant.id)
        assert await as_caller(claims_of(tenant.admin), role, tenant.id) == "admin"
        assert not await as_caller(claims_of(outsider), mine, tenant.id)
        assert await as_caller(claims_of(outsider), role, tenant.id) is None
        assert not await as_caller({"role": "anon"}, mine, tenant.id)
