"""Buckets, and lists of what is in them."""

from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.fixtures.actors import Caller, unique
from tests.fixtures.buckets import OWN_FOLDER, STORAGE, Bucket, allow, make_bucket
from tests.storage.test_resumable import CHUNK, RESUMABLE, TUS, described

NAMES = ("a.txt", "b.txt", "dir/1.txt", "dir/2.txt", "dir/sub/3.txt", "dir-2/x.txt", "zoo/y.txt")


@pytest_asyncio.fixture
async def filled(service: Caller) -> Bucket:
    bucket = await make_bucket(service)
    for name in NAMES:
        assert (await bucket.upload(service, name)).status_code == 200
    return bucket


async def listed(caller: Caller, bucket: Bucket, **options: Any) -> list[dict[str, Any]]:
    path = f"{STORAGE}/object/list/{bucket.name}"
    answer = await caller.post(path, json={"prefix": "", **options})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def paged(caller: Caller, bucket: Bucket, **options: Any) -> tuple[list[str], list[str]]:
    """(folders, objects) over all pages, in their order."""
    folders: list[str] = []
    objects: list[str] = []
    cursor = None
    for _ in range(50):
        body = {"limit": 2, **options} | ({"cursor": cursor} if cursor else {})
        answer = await caller.post(f"{STORAGE}/object/list-v2/{bucket.name}", json=body)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["folders"]) + len(page["objects"]) <= 2
        folders += [entry["name"] for entry in page["folders"]]
        objects += [entry["name"] for entry in page["objects"]]
        cursor = page.get("nextCursor")
        assert page["hasNext"] is (cursor is not None)
        if cursor is None:
            return folders, objects
    raise AssertionError("pages do not end")


class TestList:
    async def test_one_level_with_folders_first(self, filled: Bucket, service: Caller):
        top = await listed(service, filled)
        assert [(entry["name"], entry["id"] is None) for entry in top] == [
            ("dir", True),
            ("dir-2", True),
            ("zoo", True),
            ("a.txt", False),
            ("b.txt", False),
        ]
        assert top[3]["metadata"]["size"] == 5
        for prefix in ("dir", "dir/", "/dir"):
            inside = await listed(service, filled, prefix=prefix)
            assert [entry["name"] for entry in inside] == ["sub", "1.txt", "2.txt"]

    async def test_search_sort_and_pages(self, filled: Bucket, service: Caller):
        found = await listed(service, filled, search="DIR")
        assert [entry["name"] for entry in found] == ["dir", "dir-2"]
        found = await listed(service, filled, sortBy={"column": "name", "order": "desc"})
        assert [entry["name"] for entry in found][:3] == ["zoo", "dir-2", "dir"]
        found = await listed(service, filled, limit=2, offset=1)
        assert [entry["name"] for entry in found] == ["dir-2", "zoo"]
        for column in ("created_at", "updated_at", "last_accessed_at"):
            found = await listed(
                service, filled, prefix="dir", sortBy={"column": column, "order": "asc"}
            )
            assert [entry["name"] for entry in found] == ["sub", "1.txt", "2.txt"]

    @pytest.mark.parametrize("column", ["name", "created_at", "updated_at"])
    @pytest.mark.parametrize("order", ["asc", "desc"])
    async def test_pages_hold_everything_once(
        self, filled: Bucket, service: Caller, column: str, order: str
    ):
        sort = {"column": column, "order": order}
        names = sorted(NAMES) if column == "name" else list(NAMES)
        _, objects = await paged(service, filled, sortBy=sort)
        assert objects == (names if order == "asc" else names[::-1])
        folders, objects = await paged(service, filled, sortBy=sort, with_delimiter=True)
        expected = ["dir-2/", "dir/", "zoo/"] if column == "name" else ["dir/", "dir-2/", "zoo/"]
        assert folders == (expected if order == "asc" else expected[::-1])
        assert objects == (["a.txt", "b.txt"] if order == "asc" else ["b.txt", "a.txt"])

    async def test_one_name_alone(self, filled: Bucket, service: Caller):
        exact: dict[str, Any] = {"exactMatch": True}
        found = await listed(service, filled, prefix="dir/1.txt", **exact)
        assert [entry["name"] for entry in found] == ["1.txt"]
        assert await paged(service, filled, prefix="dir/1.txt", **exact) == ([], ["dir/1.txt"])
        for prefix in ("dir", "dir/", "dir/1", "dir/1.txt/"):
            assert await listed(service, filled, prefix=prefix, **exact) == []

    async def test_versions_that_are_never_kept(self, filled: Bucket, service: Caller):
        for kind in ("noncurrentVersions", "deleteMarkers"):
            assert await listed(service, filled, **{kind: "only"}) == []
            assert await paged(service, filled, **{kind: "only"}) == ([], [])
            assert len(await listed(service, filled, **{kind: "include"})) == 5

    async def test_prefixes(self, filled: Bucket, service: Caller):
        assert await paged(service, filled, prefix="dir") == (
            [],
            ["dir-2/x.txt", "dir/1.txt", "dir/2.txt", "dir/sub/3.txt"],
        )
        assert await paged(service, filled, prefix="dir/", with_delimiter=True) == (
            ["dir/sub/"],
            ["dir/1.txt", "dir/2.txt"],
        )
        assert await paged(service, filled, prefix="di", with_delimiter=True) == (
            ["dir-2/", "dir/"],
            [],
        )

    async def test_no_name_leaks_past_policies(
        self, admin: Caller, member: Caller, outsider: Caller, service: Caller
    ):
        bucket = await make_bucket(service)
        await allow(admin, bucket, where=OWN_FOLDER)
        for caller in (member, outsider):
            assert (await bucket.upload(caller, f"{caller.id}/a.txt")).status_code == 200
        assert [entry["name"] for entry in await listed(member, bucket)] == [member.id]
        assert await listed(member, bucket, prefix=outsider.id) == []
        assert await paged(member, bucket, with_delimiter=True) == ([f"{member.id}/"], [])
        assert await paged(member, bucket, prefix=outsider.id) == ([], [])

    @pytest.mark.parametrize(
        "body",
        [
            {"limit": 0},
            {"limit": "x"},
            {"offset": -1},
            {"prefix": 3},
            {"prefix": "a\x00"},
            {"prefix": "x" * 1025},
            {"sortBy": {"column": "id; drop table x"}},
            {"sortBy": {"column": "name", "order": "sideways"}},
            {"cursor": "nonsense"},
            {"cursor": "WzEsMiwzXQ"},
        ],
    )
    async def test_bad_questions(self, filled: Bucket, service: Caller, body: dict[str, Any]):
        for kind in ("list", "list-v2"):
            answer = await service.post(f"{STORAGE}/object/{kind}/{filled.name}", json=body)
            assert answer.status_code in {200, 400}, answer.text
            if "cursor" not in body and "offset" not in body:
                assert answer.status_code == 400


class TestBuckets:
    async def test_life_of_one(self, service: Caller):
        name = unique("bucket")
        path = f"{STORAGE}/bucket/{name}"
        made = await service.post(
            f"{STORAGE}/bucket",
            json={
                "id": name,
                "name": name,
                "public": True,
                "file_size_limit": "1MB",
                "allowed_mime_types": ["image/*"],
            },
        )
        assert made.json() == {"name": name}
        told = (await service.get(path)).json()
        assert (told["id"], told["public"], told["file_size_limit"]) == (name, True, 1024**2)
        assert told["allowed_mime_types"] == ["image/*"]
        again = await service.post(f"{STORAGE}/bucket", json={"name": name})
        assert (again.status_code, again.json()["error"]) == (409, "Duplicate")
        body = {"public": False, "file_size_limit": None, "allowed_mime_types": None}
        assert (await service.put(path, json=body)).status_code == 200
        told = (await service.get(path)).json()
        assert (told["public"], told["file_size_limit"]) == (False, None)
        bucket = Bucket(name)
        await bucket.upload(service, "a")
        full = await service.delete(path)
        assert (full.status_code, full.json()["statusCode"]) == (409, "409")
        assert (await service.post(f"{path}/empty")).status_code == 200
        assert (await service.delete(path)).json() == {"message": "Successfully deleted"}
        assert (await service.get(path)).status_code == 404
        assert (await service.delete(path)).status_code == 404

    async def test_lists_with_search_and_order(self, service: Caller):
        word = unique("word")
        for end in "abc":
            await service.post(f"{STORAGE}/bucket", json={"name": f"{word}-{end}"})
        query = {"search": word, "sortColumn": "name", "sortOrder": "desc", "limit": 2}
        found = (await service.get(f"{STORAGE}/bucket", params=query)).json()
        assert [bucket["id"] for bucket in found] == [f"{word}-c", f"{word}-b"]
        bad = await service.get(f"{STORAGE}/bucket", params={"sortColumn": "owner"})
        assert bad.status_code == 400

    @pytest.mark.parametrize(
        "body",
        [
            {"name": ""},
            {"name": "a/b"},
            {"name": "_ours"},
            {"name": "public"},
            {"name": "sign"},
            {"name": ".."},
            {"name": "ok", "file_size_limit": "much"},
            {"name": "ok", "file_size_limit": -1},
            {"name": "ok", "allowed_mime_types": ["a b"]},
            {"name": "ok", "type": "VECTOR"},
            {},
        ],
    )
    async def test_what_is_no_bucket(self, service: Caller, body: dict[str, Any]):
        answer = await service.post(f"{STORAGE}/bucket", json=body)
        assert answer.status_code in {400, 415}, answer.text

    async def test_others_need_policies(
        self, service: Caller, member: Caller, admin: Caller, client: httpx.AsyncClient
    ):
        bucket = await make_bucket(service)
        path = f"{STORAGE}/bucket/{bucket.name}"
        assert (await client.get(f"{STORAGE}/bucket")).status_code == 401
        assert bucket.name not in [b["id"] for b in (await member.get(f"{STORAGE}/bucket")).json()]
        assert (await member.get(path)).status_code == 404
        assert (await member.put(path, json={"public": True})).status_code == 404
        assert (await member.delete(path)).status_code == 404
        made = await member.post(f"{STORAGE}/bucket", json={"name": unique("b")})
        assert made.status_code == 403
        policy = {"name": unique("p"), "command": "select", "using": f"id = '{bucket.name}'"}
        policies = "/api/v1/tables/buckets/policies?schema=storage"
        assert (await admin.post(policies, json=policy)).status_code == 201
        assert (await member.get(path)).status_code == 200
        assert (await member.put(path, json={"public": True})).status_code == 403
        assert (await member.delete(path)).status_code == 403
        await bucket.upload(service, "a")
        assert (await member.post(f"{path}/empty")).status_code == 403
        assert await bucket.names(service) == ["a"]

    async def test_whoever_manages_storage_manages_all(self, service: Caller, admin: Caller):
        bucket = await make_bucket(service)
        assert (await bucket.upload(admin, "a")).status_code == 200
        assert (await admin.get(bucket.path("a"))).status_code == 200
        assert (await admin.get(f"{STORAGE}/bucket/{bucket.name}")).status_code == 200


class TestOrganizations:
    async def test_a_bucket_of_an_organization_has_its_quota(
        self, service: Caller, admin: Caller, member: Caller, outsider: Caller
    ):
        made = await member.post("/api/v1/organizations", json={"name": unique("Org")})
        assert made.status_code == 201, made.text
        organization = made.json()["id"]
        quota = f"/api/v1/organizations/{organization}/storage"
        assert (await admin.put(quota, json={"max_bytes": 10})).status_code == 200
        bucket = await make_bucket(service, organization_id=organization)
        where = "organization_id in (select auth.orgs())"
        await allow(admin, bucket, where=where)
        assert (await bucket.upload(member, "a", b"123456")).status_code == 200
        full = await bucket.upload(member, "b", b"12345")
        assert (full.status_code, full.json()["code"]) == (413, "QuotaExceeded")
        replaced = await bucket.upload(member, "a", b"1234567890", x_upsert="true")
        assert replaced.status_code == 200, replaced.text
        for length, status in ((6, 201), (11, 413)):
            metadata = described(bucketName=bucket.name, objectName="a")
            given = {"Upload-Length": str(length), "Upload-Metadata": metadata, "x-upsert": "true"}
            begun = await member.post(RESUMABLE, headers=TUS | given)
            assert begun.status_code == status, begun.text
            if begun.is_success:
                chunk = CHUNK | {"Upload-Offset": "0"}
                url = begun.headers["location"]
                assert (await member.patch(url, content=b"123456", headers=chunk)).is_success
        assert (await bucket.upload(outsider, "c", b"1")).status_code == 403
        told = (await member.get(quota)).json()
        assert told == {"used_bytes": 6, "files": 1, "max_bytes": 10}
        assert (await outsider.get(quota)).status_code == 404
        assert (await member.put(quota, json={"max_bytes": 10**9})).status_code == 403
        copy = {"bucketId": bucket.name, "sourceKey": "a", "destinationKey": "b"}
        assert (await member.post(f"{STORAGE}/object/copy", json=copy)).status_code == 413
        assert (await member.delete(bucket.path("a"))).status_code == 200
        assert (await bucket.upload(member, "b", b"12345")).status_code == 200
        assert (await member.get(quota)).json()["used_bytes"] == 5

    async def test_nobody_fills_anothers_quota(
        self, admin: Caller, member: Caller, outsider: Caller
    ):
        made = await member.post("/api/v1/organizations", json={"name": unique("Org")})
        policy = {"name": unique("p"), "command": "insert", "check": "true"}
        policies = "/api/v1/tables/buckets/policies?schema=storage"
        assert (await admin.post(policies, json=policy)).status_code == 201
        body = {"name": unique("b"), "organization_id": made.json()["id"]}
        answer = await outsider.post(f"{STORAGE}/bucket", json=body)
        assert answer.status_code == 403
        assert (await member.post(f"{STORAGE}/bucket", json=body)).status_code == 200
        gone = f"{policies.partition('?')[0]}/{policy['name']}?schema=storage"
        assert (await admin.delete(gone)).status_code == 204
