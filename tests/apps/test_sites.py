"""Sites over HTTP: whose they are, who is shown them, what goes with them."""

import asyncio
from base64 import urlsafe_b64encode
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, make_group, promoted, unique
from tests.fixtures.lists import check_orders
from tests.fixtures.outbox import Outbox
from tests.fixtures.query_counter import QueryCounter
from tests.identity.test_organizations import Tenant, make_tenant
from undercroft.app import Application
from undercroft.apps.sites.images import IMAGES

API = "/api/v1"
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000")
SEEN = "2026-11-22T10:00:00Z"


async def site(caller: Caller, tenant: Tenant, name: str | None = None) -> dict[str, Any]:
    body = {"name": name or unique("Site"), "organization_id": tenant.id}
    made = await caller.post(f"{API}/sites", json=body)
    assert made.status_code == 201, made.text
    return made.json()


async def violation(caller: Caller, site_id: str, **fields: Any) -> dict[str, Any]:
    body = {"stream_name": "gate", "detected_at": SEEN} | fields
    made = await caller.post(f"{API}/sites/{site_id}/violations", json=body)
    assert made.status_code == 201, made.text
    return made.json()


async def shown_to(tenant: Tenant, role: str) -> dict[str, Any]:
    """A site that the person with this role was added to."""
    made = await site(tenant.people["owner"], tenant)
    path = f"{API}/sites/{made['id']}/users/{tenant.people[role].id}"
    assert (await tenant.people["owner"].put(path)).status_code == 200
    return made


@pytest_asyncio.fixture(scope="session")
async def ours(app: Application, client: httpx.AsyncClient) -> Tenant:
    return await make_tenant(app, client)


@pytest_asyncio.fixture(scope="session")
async def theirs(app: Application, client: httpx.AsyncClient) -> Tenant:
    return await make_tenant(app, client)


async def org_key(admin: Caller, tenant: Tenant, *permissions: str) -> Caller:
    """A detector: a key that the owner made, whom the platform lets make keys."""
    owner = tenant.people["owner"]
    await promoted(admin, owner, await make_group(admin, "api_keys:create"))
    body = {"name": unique("key"), "permissions": permissions, "organization_id": tenant.id}
    made = await owner.post(f"{API}/api-keys", json=body)
    assert made.status_code == 201, made.text
    return Caller(owner.client, "key", "", {"access_token": made.json()["key"]})


class TestWhose:
    async def test_owners_and_admins_run_them(self, ours: Tenant):
        for role in ("owner", "admin"):
            made = await site(ours.people[role], ours)
            assert made["organization_id"] == ours.id
        listed = await ours.people["admin"].get(f"{API}/sites?organization_id={ours.id}&limit=100")
        assert made["id"] in [entry["id"] for entry in listed.json()["items"]]

    @pytest.mark.parametrize("role", ["member", "guest"])
    async def test_members_add_none(self, ours: Tenant, role: str):
        body = {"name": unique("Site"), "organization_id": ours.id}
        answer = await ours.people[role].post(f"{API}/sites", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low")

    @pytest.mark.parametrize("role", ["member", "guest"])
    async def test_members_see_those_they_were_added_to(self, ours: Tenant, role: str):
        person = ours.people[role]
        hidden = await site(ours.people["owner"], ours)
        shown = await shown_to(ours, role)
        ids = [one["id"] for one in (await person.get(f"{API}/sites?limit=100")).json()["items"]]
        assert shown["id"] in ids
        assert hidden["id"] not in ids
        assert (await person.get(f"{API}/sites/{hidden['id']}")).status_code == 404
        read = (await person.get(f"{API}/sites/{shown['id']}")).json()
        assert read["user_ids"] == [person.id]
        renamed = await person.patch(f"{API}/sites/{shown['id']}", json={"name": "Mine"})
        assert (renamed.status_code, renamed.json()["code"]) == (403, "role_too_low")

    async def test_other_organizations_are_404_everywhere(self, ours: Tenant, theirs: Tenant):
        made = await site(ours.people["owner"], ours)
        seen = await violation(ours.people["owner"], made["id"])
        one, other = f"{API}/sites/{made['id']}", theirs.people["owner"]
        shot = f"{one}/violations/{seen['id']}"
        attempts = [
            ("GET", one, None),
            ("PATCH", one, {"name": "Taken"}),
            ("DELETE", one, None),
            ("GET", f"{one}/users", None),
            ("GET", f"{one}/users/{other.id}", None),
            ("PUT", f"{one}/users/{other.id}", None),
            ("DELETE", f"{one}/users/{ours.people['owner'].id}", None),
            ("GET", f"{one}/violations", None),
            ("POST", f"{one}/violations", {"stream_name": "x", "detected_at": SEEN}),
            ("DELETE", f"{one}/violations", None),
            ("GET", shot, None),
            ("DELETE", shot, None),
            ("GET", f"{shot}/image", None),
            ("PUT", f"{shot}/image", None),
        ]
        for caller in (other, theirs.people["guest"]):
            for method, path, body in attempts:
                answer = await caller.request(method, path, json=body)
                assert answer.status_code == 404, (method, path, answer.text)
                assert answer.json()["code"] == "site_not_found", (method, path)
            listed = (await caller.get(f"{API}/sites?organization_id={ours.id}")).json()
            assert listed["items"] == []
        create = await other.post(
            f"{API}/sites", json={"name": "Planted", "organization_id": ours.id}
        )
        assert create.status_code == 404

    async def test_a_violation_is_not_reached_through_another_site(
        self, ours: Tenant, theirs: Tenant
    ):
        mine = await site(theirs.people["owner"], theirs)
        seen = await violation(ours.people["owner"], (await site(ours.people["owner"], ours))["id"])
        path = f"{API}/sites/{mine['id']}/violations/{seen['id']}"
        assert (await theirs.people["owner"].get(path)).status_code == 404
        assert (await theirs.people["owner"].delete(path)).status_code == 404

    async def test_managers_of_all_organizations_see_all(self, ours: Tenant, admin: Caller):
        made = await site(ours.people["owner"], ours)
        assert (await admin.get(f"{API}/sites/{made['id']}")).status_code == 200
        assert (await admin.delete(f"{API}/sites/{made['id']}")).status_code == 204

    async def test_the_only_organization_need_not_be_named(self, ours: Tenant, outsider: Caller):
        made = await ours.people["owner"].post(f"{API}/sites", json={"name": unique("Site")})
        assert made.json()["organization_id"] == ours.id
        nobody = await outsider.post(f"{API}/sites", json={"name": "Nowhere"})
        assert (nobody.status_code, nobody.json()["code"]) == (422, "organization_needed")

    async def test_names_are_unique_within_the_organization(self, ours: Tenant, theirs: Tenant):
        name = unique("Site")
        await site(ours.people["owner"], ours, name)
        await site(theirs.people["owner"], theirs, name)
        body = {"name": name, "organization_id": ours.id}
        taken = await ours.people["admin"].post(f"{API}/sites", json=body)
        assert (taken.status_code, taken.json()["code"]) == (409, "site_name_taken")
        other = await site(ours.people["owner"], ours)
        path = f"{API}/sites/{other['id']}"
        renamed = await ours.people["owner"].patch(path, json={"name": name})
        assert renamed.status_code == 409

    @pytest.mark.parametrize(
        "body", [{}, {"name": ""}, {"name": " "}, {"name": "x" * 81}, {"name": None}, {"id": "x"}]
    )
    async def test_refuse_nonsense(self, ours: Tenant, body: dict[str, Any]):
        answer = await ours.people["owner"].post(
            f"{API}/sites", json=body | {"organization_id": ours.id}
        )
        assert answer.status_code == 422

    async def test_a_list_sends_the_same_few_statements(
        self, ours: Tenant, query_counter: QueryCounter
    ):
        for _ in range(3):
            await site(ours.people["owner"], ours)
        with query_counter() as count:
            await ours.people["owner"].get(f"{API}/sites?limit=100")
        assert len(count) <= 3


class TestUsers:
    async def test_must_belong_to_the_sites_organization(self, ours: Tenant, theirs: Tenant):
        made = await site(ours.people["owner"], ours)
        for stranger in (theirs.people["member"].id, str(uuid4())):
            path = f"{API}/sites/{made['id']}/users/{stranger}"
            answer = await ours.people["owner"].put(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "member_not_found")

    async def test_are_added_once_listed_and_removed(self, ours: Tenant):
        owner, member = ours.people["owner"], ours.people["member"]
        made = await shown_to(ours, "member")
        path = f"{API}/sites/{made['id']}/users"
        again = await owner.put(f"{path}/{member.id}")
        assert again.status_code == 200
        listed = (await owner.get(path)).json()["items"]
        assert [entry["user_id"] for entry in listed] == [member.id]
        assert (await owner.get(f"{path}/{member.id}")).json() == listed[0]
        assert (await owner.delete(f"{path}/{member.id}")).status_code == 204
        assert (await owner.delete(f"{path}/{member.id}")).status_code == 404
        assert (await member.get(f"{API}/sites/{made['id']}")).status_code == 404

    async def test_lose_their_sites_with_their_membership(
        self, app: Application, client: httpx.AsyncClient
    ):
        tenant = await make_tenant(app, client)
        made = await shown_to(tenant, "member")
        member, owner = tenant.people["member"], tenant.people["owner"]
        left = await owner.delete(f"{API}/organizations/{tenant.id}/members/{member.id}")
        assert left.status_code == 204
        assert (await member.get(f"{API}/sites/{made['id']}")).status_code == 404
        users = await owner.get(f"{API}/sites/{made['id']}/users")
        assert users.json()["items"] == []


class TestViolations:
    async def test_are_reported_by_keys_of_the_organization(
        self, ours: Tenant, theirs: Tenant, admin: Caller
    ):
        made = await site(ours.people["owner"], ours)
        detector = await org_key(admin, ours, "violations:create", "sites:read")
        seen = await violation(detector, made["id"], warnings=["No helmet"])
        assert seen["warnings"] == ["No helmet"]
        listed = await ours.people["owner"].get(f"{API}/sites/{made['id']}/violations")
        assert [entry["id"] for entry in listed.json()["items"]] == [seen["id"]]
        refused = await detector.delete(f"{API}/sites/{made['id']}")
        assert refused.status_code == 403
        foreign = await org_key(admin, theirs, "violations:create", "sites:read")
        body = {"stream_name": "x", "detected_at": SEEN}
        outside = await foreign.post(f"{API}/sites/{made['id']}/violations", json=body)
        assert outside.status_code == 404
        assert (await foreign.get(f"{API}/sites/{made['id']}")).status_code == 404

    async def test_are_filtered_and_deleted_by_time(self, ours: Tenant):
        owner = ours.people["owner"]
        made = await site(owner, ours)
        path = f"{API}/sites/{made['id']}/violations"
        for hour in (8, 9, 10):
            await violation(
                owner,
                made["id"],
                detected_at=f"2026-11-22T{hour:02}:00:00Z",
                stream_name=f"s{hour}",
            )
        since = (await owner.get(f"{path}?since=2026-11-22T09:00:00Z")).json()["items"]
        assert [entry["stream_name"] for entry in since] == ["s10", "s9"]
        named = (await owner.get(f"{path}?stream_name=s8")).json()["items"]
        assert len(named) == 1
        gone = await owner.delete(f"{path}?before=2026-11-22T09:30:00Z")
        assert gone.json() == {"deleted": 2}
        one = (await owner.get(path)).json()["items"][0]
        assert (await owner.delete(f"{path}/{one['id']}")).status_code == 204
        assert (await owner.get(f"{path}/{one['id']}")).status_code == 404

    async def test_and_sites_and_users_come_in_every_order(self, ours: Tenant):
        owner = ours.people["owner"]
        word = unique("order")
        for number in range(3):
            made = await site(owner, ours, name=f"{word} {number}")
        path = f"{API}/sites/{made['id']}"
        for hour in (8, 9, 10):
            await violation(owner, made["id"], detected_at=f"2026-11-22T{hour:02}:00:00Z")
        for name in ("admin", "member", "guest"):
            added = await owner.put(f"{path}/users/{ours.people[name].id}")
            assert added.status_code == 200, added.text
        await check_orders(owner, f"{API}/sites", ("name", "created_at"), search=word.upper())
        await check_orders(owner, f"{path}/violations", ("detected_at",))
        await check_orders(owner, f"{path}/users", ("added_at",), key="user_id")

    async def test_have_images(self, ours: Tenant):
        owner = ours.people["owner"]
        made = await site(owner, ours)
        seen = await violation(owner, made["id"])
        path = f"{API}/sites/{made['id']}/violations/{seen['id']}"
        assert (await owner.get(f"{path}/image")).status_code == 404
        text = await owner.put(
            f"{path}/image", content=b"<html>", headers={"Content-Type": "image/png"}
        )
        assert text.status_code == 415
        empty = await owner.put(f"{path}/image", headers={"Content-Type": "image/png"})
        assert (empty.status_code, empty.json()["code"]) == (422, "image_missing")
        put = await owner.put(f"{path}/image", content=PNG, headers={"Content-Type": "image/png"})
        assert put.status_code == 200, put.text
        assert put.json()["has_image"] is True
        got = await owner.get(f"{path}/image")
        assert (got.content, got.headers["content-type"]) == (PNG, "image/png")
        assert got.headers["x-content-type-options"] == "nosniff"
        same = await owner.get(f"{path}/image", headers={"If-None-Match": got.headers["etag"]})
        assert same.status_code == 304

    async def test_many_images_at_once_do_not_wait_for_each_other(self, ours: Tenant):
        owner = ours.people["owner"]
        made = await site(owner, ours)
        seen = await violation(owner, made["id"])
        path = f"{API}/sites/{made['id']}/violations/{seen['id']}/image"
        sending = (owner.put(path, content=PNG) for _ in range(40))
        answers = await asyncio.gather(*sending)
        assert {answer.status_code for answer in answers} == {200}

    @pytest.mark.parametrize(
        "fields",
        [
            {"stream_name": ""},
            {"detected_at": "yesterday"},
            {"detected_at": "2026-11-22T10:00:00"},
            {"detected_at": "0001-01-01T00:00:00+14:00"},
            {"detections": [10**30]},
            {"detections": {"not": "a list"}},
            {"warnings": ["x"] * 1001},
            {"image": "../../etc/passwd"},
        ],
    )
    async def test_refuse_nonsense(self, ours: Tenant, fields: dict[str, Any]):
        made = await site(ours.people["owner"], ours)
        body = {"stream_name": "gate", "detected_at": SEEN} | fields
        path = f"{API}/sites/{made['id']}/violations"
        assert (await ours.people["owner"].post(path, json=body)).status_code == 422


def frame_key(name: str) -> str:
    return f"stream_frame:{urlsafe_b64encode(name.encode()).decode()}"


class Frames:
    """What detectors keep in Valkey, in the form they use."""

    def __init__(self, app: Application) -> None:
        self.client = app.parts.cache.client

    async def keep(self, *keys: str) -> None:
        for key in keys:
            await self.client.set(key, b"frame")

    async def left(self, *keys: str) -> list[str]:
        return [key for key in keys if await self.client.exists(key)]


@pytest.fixture
def frames(app: Application) -> Frames:
    return Frames(app)


async def image_of(app: Application, tenant: Tenant, made: dict[str, Any]) -> str:
    owner = tenant.people["owner"]
    seen = await violation(owner, made["id"])
    path = f"{API}/sites/{made['id']}/violations/{seen['id']}/image"
    assert (await owner.put(path, content=PNG)).status_code == 200
    name = f"{tenant.id}/{made['id']}/{seen['id']}"
    assert await app.control.state.files.find(bucket=IMAGES, name=name)
    return name


class TestDeleting:
    async def test_takes_violations_images_and_frames_of_the_exact_name(
        self, app: Application, ours: Tenant, frames: Frames, outbox: Outbox
    ):
        name = unique("Harbour!!")  # three bytes short of nothing: its base64 has no padding
        made = await site(ours.people["owner"], ours, name)
        image = await image_of(app, ours, made)
        mine = [frame_key(name), f"{frame_key(name)}|Z2F0ZQ=="]
        longer = [frame_key(f"{name} east"), frame_key(f"{name}x"), frame_key(name[:-1])]
        await frames.keep(*mine, *longer)
        path = f"{API}/sites/{made['id']}"
        assert (await ours.people["owner"].delete(path)).status_code == 204
        assert (await ours.people["owner"].get(path)).status_code == 404
        await outbox.settled()
        assert await frames.left(*mine, *longer) == longer
        assert await app.control.state.files.find(bucket=IMAGES, name=image) is None

    async def test_leaves_frames_that_a_site_elsewhere_uses_too(
        self, ours: Tenant, theirs: Tenant, frames: Frames, outbox: Outbox
    ):
        name = unique("Shared")
        made = await site(ours.people["owner"], ours, name)
        await site(theirs.people["owner"], theirs, name)
        await frames.keep(frame_key(name))
        await ours.people["owner"].delete(f"{API}/sites/{made['id']}")
        await outbox.settled()
        assert await frames.left(frame_key(name)) == [frame_key(name)]

    async def test_renaming_keeps_what_belongs_to_it_and_drops_old_frames(
        self, app: Application, ours: Tenant, frames: Frames, outbox: Outbox
    ):
        old, new = unique("Old"), unique("New")
        made = await site(ours.people["owner"], ours, old)
        image = await image_of(app, ours, made)
        await frames.keep(frame_key(old), frame_key(new))
        path = f"{API}/sites/{made['id']}"
        renamed = await ours.people["owner"].patch(path, json={"name": new})
        assert renamed.json()["name"] == new
        await outbox.settled()
        assert await frames.left(frame_key(old), frame_key(new)) == [frame_key(new)]
        assert await app.control.state.files.find(bucket=IMAGES, name=image)
        listed = (await ours.people["owner"].get(f"{path}/violations")).json()["items"]
        assert len(listed) == 1

    async def test_an_organization_takes_its_sites_images_and_frames_along(
        self, app: Application, client: httpx.AsyncClient, frames: Frames, outbox: Outbox
    ):
        tenant = await make_tenant(app, client)
        name = unique("Doomed")
        made = await site(tenant.people["owner"], tenant, name)
        image = await image_of(app, tenant, made)
        await frames.keep(frame_key(name))
        gone = await tenant.people["owner"].delete(f"{API}/organizations/{tenant.id}")
        assert gone.status_code == 204
        await outbox.settled()
        assert await frames.left(frame_key(name)) == []
        assert await app.control.state.files.find(bucket=IMAGES, name=image) is None

    async def test_two_at_once_delete_it_once(self, ours: Tenant):
        made = await site(ours.people["owner"], ours)
        path = f"{API}/sites/{made['id']}"
        answers = await asyncio.gather(*(ours.people["owner"].delete(path) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [204, *[404] * 7]
