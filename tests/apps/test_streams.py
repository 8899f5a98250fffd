"""Streams over HTTP: the limit, races, what is refused."""

import asyncio
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.apps.test_sites import org_key, shown_to, site
from tests.fixtures.actors import Caller, unique
from tests.fixtures.lists import check_orders, ids_of
from tests.identity.test_organizations import Tenant, make_tenant
from undercroft.app import Application

API = "/api/v1"
URL = "rtsp://camera:s3cret@10.0.0.7:554/live"


@pytest_asyncio.fixture(scope="session")
async def ours(app: Application, client: httpx.AsyncClient) -> Tenant:
    return await make_tenant(app, client)


@pytest_asyncio.fixture(scope="session")
async def theirs(app: Application, client: httpx.AsyncClient) -> Tenant:
    return await make_tenant(app, client)


@pytest_asyncio.fixture
async def fresh(app: Application, client: httpx.AsyncClient) -> Tenant:
    """An organization that has no streams yet."""
    return await make_tenant(app, client)


async def stream(caller: Caller, site_id: str, **fields: Any) -> httpx.Response:
    body = {"name": unique("gate"), "video_url": URL} | fields
    return await caller.post(f"{API}/sites/{site_id}/streams", json=body)


async def allow(admin: Caller, tenant: Tenant, streams: int) -> None:
    path = f"{API}/organizations/{tenant.id}/stream-limit"
    answer = await admin.patch(path, json={"max_allowed_streams": streams})
    assert answer.status_code == 200, answer.text


class TestLimit:
    async def test_fifty_at_once_make_exactly_as_many_as_allowed(
        self, fresh: Tenant, admin: Caller
    ):
        owner = fresh.people["owner"]
        sites = [(await site(owner, fresh))["id"] for _ in range(3)]
        await allow(admin, fresh, 7)
        answers = await asyncio.gather(*(stream(owner, sites[n % 3]) for n in range(50)))
        made = [answer for answer in answers if answer.status_code == 201]
        refused = [answer for answer in answers if answer.status_code == 403]
        assert (len(made), len(refused)) == (7, 43)
        assert {answer.json()["code"] for answer in refused} == {"stream_limit_reached"}
        limit = await owner.get(f"{API}/organizations/{fresh.id}/stream-limit")
        assert limit.json() == {
            "organization_id": fresh.id,
            "max_allowed_streams": 7,
            "current_streams_count": 7,
        }

    async def test_a_deleted_stream_makes_room(self, fresh: Tenant, admin: Caller):
        owner = fresh.people["owner"]
        made = await site(owner, fresh)
        await allow(admin, fresh, 1)
        first = (await stream(owner, made["id"])).json()
        assert (await stream(owner, made["id"])).status_code == 403
        assert (await owner.delete(f"{API}/streams/{first['id']}")).status_code == 204
        assert (await stream(owner, made["id"])).status_code == 201

    async def test_below_what_there_is_only_stops_new_ones(self, fresh: Tenant, admin: Caller):
        owner = fresh.people["owner"]
        made = await site(owner, fresh)
        kept = (await stream(owner, made["id"])).json()
        await allow(admin, fresh, 0)
        assert (await owner.get(f"{API}/streams/{kept['id']}")).status_code == 200
        assert (await stream(owner, made["id"])).status_code == 403

    async def test_is_set_by_the_platform_and_seen_by_who_runs_it(
        self, ours: Tenant, theirs: Tenant
    ):
        path = f"{API}/organizations/{ours.id}/stream-limit"
        body = {"max_allowed_streams": 1000}
        assert (await ours.people["owner"].patch(path, json=body)).status_code == 403
        assert (await ours.people["admin"].get(path)).status_code == 200
        assert (await ours.people["member"].get(path)).status_code == 403
        assert (await theirs.people["owner"].get(path)).status_code == 404

    @pytest.mark.parametrize("limit", [-1, 10**9, "many", None])
    async def test_refuses_nonsense(self, ours: Tenant, admin: Caller, limit: object):
        path = f"{API}/organizations/{ours.id}/stream-limit"
        answer = await admin.patch(path, json={"max_allowed_streams": limit})
        assert answer.status_code == 422


class TestStreams:
    async def test_have_the_defaults_of_detectors(self, ours: Tenant, admin: Caller):
        await allow(admin, ours, 1000)
        made = await site(ours.people["owner"], ours)
        body = (await stream(ours.people["owner"], made["id"])).json()
        assert body["model_key"] == "yolo11x"
        assert (body["work_start_hour"], body["work_end_hour"]) == (7, 18)
        assert body["detect_with_server"] is True
        assert body["detect_in_restricted_area"] is False
        assert body["is_expired"] is False

    async def test_take_the_names_of_fields_that_detectors_know(self, ours: Tenant, admin: Caller):
        await allow(admin, ours, 1000)
        made = await site(ours.people["owner"], ours)
        body = {
            "stream_name": unique("gate"),
            "video_url": "https://example.com/live.m3u8",
            "expire_date": "2020-01-01T00:00:00Z",
        }
        answer = await ours.people["owner"].post(f"{API}/sites/{made['id']}/streams", json=body)
        assert answer.status_code == 201, answer.text
        assert answer.json()["name"] == body["stream_name"]
        assert answer.json()["is_expired"] is True

    async def test_names_are_unique_at_a_site_also_at_once(self, ours: Tenant, admin: Caller):
        await allow(admin, ours, 1000)
        owner, name = ours.people["owner"], unique("gate")
        first, second = await site(owner, ours), await site(owner, ours)
        answers = await asyncio.gather(*(stream(owner, first["id"], name=name) for _ in range(10)))
        assert sorted(answer.status_code for answer in answers) == [201, *[409] * 9]
        assert (await stream(owner, second["id"], name=name)).status_code == 201
        other = (await stream(owner, first["id"])).json()
        renamed = await owner.patch(f"{API}/streams/{other['id']}", json={"name": name})
        assert (renamed.status_code, renamed.json()["code"]) == (409, "stream_name_taken")

    async def test_are_changed_and_listed(self, ours: Tenant, admin: Caller):
        await allow(admin, ours, 1000)
        owner = ours.people["owner"]
        made = await site(owner, ours)
        one = (await stream(owner, made["id"])).json()
        change = {"work_start_hour": 22, "work_end_hour": 6, "video_url": "rtmp://x/live"}
        patched = await owner.patch(f"{API}/streams/{one['id']}", json=change)
        assert patched.status_code == 200, patched.text
        assert patched.json() | change == patched.json()
        assert patched.json()["name"] == one["name"]
        cleared = await owner.patch(f"{API}/streams/{one['id']}", json={"expires_at": None})
        assert cleared.status_code == 200
        listed = (await owner.get(f"{API}/sites/{made['id']}/streams?count=exact")).json()
        assert [entry["id"] for entry in listed["items"]] == [one["id"]]
        assert listed["total"] == 1

    @pytest.mark.parametrize(
        "fields",
        [
            {"video_url": "ftp://10.0.0.7/live"},
            {"video_url": "file:///etc/passwd"},
            {"video_url": "javascript:alert(1)"},
            {"video_url": "rtsp://"},
            {"video_url": "10.0.0.7/live"},
            {"video_url": "rtsp://10.0.0.7/a b"},
            {"video_url": "http:/camera:s3cret@10.0.0.7/live"},
            {"video_url": "http:camera:s3cret@10.0.0.7/live"},
            {"video_url": "http:\\\\camera:s3cret@10.0.0.7\\live"},
            {"video_url": "rtsp://camera:s3[cret@10.0.0.7/live"},
            {"video_url": "rtsp://10.0.0.7/\r\nHost: x"},
            {"video_url": "rtsp://" + "x" * 2001},
            {"work_start_hour": -1},
            {"work_end_hour": 25},
            {"work_start_hour": 7.5},
            {"work_start_hour": True},
            {"detect_with_server": "perhaps"},
            {"model_key": "../model"},
            {"expires_at": "soon"},
            {"expires_at": "2030-01-01T00:00:00"},
            {"expires_at": "9999-12-31T23:59:59-14:00"},
            {"name": ""},
            {"organization_id": "x"},
        ],
    )
    async def test_refuse_nonsense(self, ours: Tenant, admin: Caller, fields: dict[str, Any]):
        await allow(admin, ours, 1000)
        made = await site(ours.people["owner"], ours)
        answer = await stream(ours.people["owner"], made["id"], **fields)
        assert answer.status_code == 422, answer.text

    async def test_come_in_every_order_and_are_searched(self, ours: Tenant, admin: Caller):
        await allow(admin, ours, 1000)
        owner = ours.people["owner"]
        made = await site(owner, ours)
        for name in ("north gate", "South Gate", "west gate"):
            assert (await stream(owner, made["id"], name=name)).status_code == 201
        path = f"{API}/sites/{made['id']}/streams"
        await check_orders(owner, path, ("name", "created_at"))
        assert len(await ids_of(owner, path, search="th GATE")) == 2

    @pytest.mark.parametrize("moment", ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"])
    async def test_the_ends_of_time_are_times(self, ours: Tenant, admin: Caller, moment: str):
        await allow(admin, ours, 1000)
        made = await site(ours.people["owner"], ours)
        answer = await stream(ours.people["owner"], made["id"], expires_at=f"{moment}Z")
        assert answer.status_code == 201, answer.text
        path = f"{API}/streams/{answer.json()['id']}"
        read = (await ours.people["owner"].get(path)).json()
        assert read["is_expired"] is moment.startswith("0001")

    async def test_hours_may_reach_from_0_to_24(self, ours: Tenant, admin: Caller):
        await allow(admin, ours, 1000)
        made = await site(ours.people["owner"], ours)
        hours = {"work_start_hour": 0, "work_end_hour": 24}
        assert (await stream(ours.people["owner"], made["id"], **hours)).status_code == 201

    async def test_passwords_are_sealed_and_shown_to_who_runs_the_site(
        self, app: Application, ours: Tenant, admin: Caller
    ):
        await allow(admin, ours, 1000)
        owner, member = ours.people["owner"], ours.people["member"]
        made = await shown_to(ours, "member")
        one = (await stream(owner, made["id"])).json()
        assert one["video_url"] == URL
        seen = (await member.get(f"{API}/streams/{one['id']}")).json()
        assert seen["video_url"] == "rtsp://10.0.0.7:554/live"
        detector = await org_key(admin, ours, "streams:read", "sites:read")
        listed = (await detector.get(f"{API}/sites/{made['id']}/streams")).json()["items"]
        assert [entry["video_url"] for entry in listed] == [URL]
        async with app.parts.database.unit_of_work() as session:
            stored = text("SELECT video_url_sealed FROM streams.streams WHERE id = :id")
            assert b"s3cret" not in await session.scalar(stored, {"id": one["id"]})

    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("rtsp://camera:s3@cret@[fd00::7]:554/a@b", "rtsp://[fd00::7]:554/a@b"),
            ("http://10.0.0.7?to=http://a:b@c", "http://10.0.0.7?to=http://a:b@c"),
            ("RTSP://camera@10.0.0.7", "RTSP://10.0.0.7"),
        ],
    )
    async def test_only_the_user_is_left_out_of_their_urls(
        self, ours: Tenant, admin: Caller, url: str, shown: str
    ):
        await allow(admin, ours, 1000)
        made = await shown_to(ours, "member")
        one = (await stream(ours.people["owner"], made["id"], video_url=url)).json()
        assert one["video_url"] == url
        seen = await ours.people["member"].get(f"{API}/streams/{one['id']}")
        assert seen.json()["video_url"] == shown

    async def test_of_other_organizations_are_404_everywhere(
        self, ours: Tenant, theirs: Tenant, admin: Caller
    ):
        await allow(admin, ours, 1000)
        made = await site(ours.people["owner"], ours)
        one = (await stream(ours.people["owner"], made["id"])).json()
        for caller in (theirs.people["owner"], ours.people["guest"]):
            path = f"{API}/streams/{one['id']}"
            for method in ("GET", "PATCH", "DELETE"):
                body = {"name": "Mine"} if method == "PATCH" else None
                answer = await caller.request(method, path, json=body)
                assert (answer.status_code, answer.json()["code"]) == (404, "stream_not_found")
            assert (await caller.get(f"{API}/sites/{made['id']}/streams")).status_code == 404
            assert (await stream(caller, made["id"])).status_code == 404

    async def test_members_look_but_do_not_touch(self, ours: Tenant, admin: Caller):
        await allow(admin, ours, 1000)
        member = ours.people["member"]
        made = await shown_to(ours, "member")
        one = (await stream(ours.people["owner"], made["id"])).json()
        assert (await stream(member, made["id"])).status_code == 403
        assert (await member.delete(f"{API}/streams/{one['id']}")).status_code == 403

    async def test_go_with_their_site(self, ours: Tenant, admin: Caller):
        await allow(admin, ours, 1000)
        owner = ours.people["owner"]
        made = await site(owner, ours)
        one = (await stream(owner, made["id"])).json()
        assert (await owner.delete(f"{API}/sites/{made['id']}")).status_code == 204
        assert (await owner.get(f"{API}/streams/{one['id']}")).status_code == 404

    async def test_a_site_deleted_while_streams_are_added_leaves_none(
        self, app: Application, ours: Tenant, admin: Caller
    ):
        await allow(admin, ours, 1000)
        owner = ours.people["owner"]
        made = await site(owner, ours)
        adding = [stream(owner, made["id"]) for _ in range(20)]
        *added, gone = await asyncio.gather(*adding, owner.delete(f"{API}/sites/{made['id']}"))
        assert gone.status_code == 204
        assert {answer.status_code for answer in added} <= {201, 404}
        async with app.parts.database.unit_of_work() as session:
            count = text("SELECT count(*) FROM streams.streams WHERE site_id = :id")
            assert await session.scalar(count, {"id": made["id"]}) == 0
