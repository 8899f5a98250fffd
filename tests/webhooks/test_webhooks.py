"""Webhooks over HTTP: who manages them, what reaches a receiver, what happens when it does not."""

import asyncio
import json
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from tests.fixtures.actors import Caller, sign_in, unique
from tests.fixtures.lists import check_orders, ids_of
from tests.fixtures.targets import Heard, Reply, Target, answer, target
from tests.webhooks.conftest import API, Office

CREATE = {"name": "hook", "url": "https://hooks.example.com/in", "events": ["user.created"]}


def verified(secret: str, heard: Heard) -> dict[str, Any]:
    """The body as a receiver takes it that checks signatures."""
    return dict(Verifier(secret).verify(heard.body, heard.headers))


async def about(server: Target, name: str, value: str) -> Heard:
    """The next call whose data says so; other tests of this worker make events too."""
    while True:
        heard = await server.next()
        if json.loads(heard.body)["data"].get(name) == value:
            return heard


def in_turn(*replies: Reply) -> Reply:
    """Each answer once, the last for ever."""
    left = list(replies)

    async def reply(writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(writer)

    return reply


async def silence(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def found(caller: Caller) -> str:
    """A new organization of the caller's."""
    name = unique("org")
    made = await caller.post("/api/v1/organizations", json={"name": name, "slug": name})
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


class TestHeaders:
    async def test_come_with_every_call_and_are_never_shown(self, office: Office):
        async with target(answer()) as server:
            headers = {"Authorization": "Bearer s3cr3t", "X-Route": "a b"}
            made = await office.webhook(server.url(), "user.created", headers=headers)
            assert made["header_names"] == ["authorization", "x-route"]
            await office.admin.post(f"{API}/{made['id']}/ping")
            heard = await about(server, "webhook_id", made["id"])
            assert heard.headers["authorization"] == "Bearer s3cr3t"
            assert heard.headers["x-route"] == "a b"
            assert verified(made["secret"], heard)
            read = await office.admin.get(f"{API}/{made['id']}")
            assert "s3cr3t" not in read.text
            changed = await office.admin.patch(f"{API}/{made['id']}", json={"headers": {}})
            assert changed.json()["header_names"] == []
            await office.admin.post(f"{API}/{made['id']}/ping")
            assert "authorization" not in (await about(server, "webhook_id", made["id"])).headers

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "evil"},
            {"webhook-signature": "v1,forged"},
            {"Content-Length": "0"},
            {"transfer-encoding": "chunked"},
            {"X-A": "1\r\nX-B: 2"},
            {"X A": "1"},
            {"X-A": ""},
            {"X-A": "1", "x-a": "2"},
            {"X-A": "\u00e9"},
            {f"X-{number}": "1" for number in range(21)},
        ],
    )
    async def test_that_are_not_theirs_to_set_are_refused(
        self, office: Office, headers: dict[str, str]
    ):
        answer = await office.admin.post(API, json=CREATE | {"headers": headers})
        assert answer.status_code == 422, answer.text


class TestManaging:
    async def test_a_secret_is_shown_once(self, office: Office):
        made = await office.webhook("https://hooks.example.com/in", "user.*")
        assert made["secret"].startswith("whsec_")
        read = await office.admin.get(f"{API}/{made['id']}")
        listed = await office.admin.get(API, params={"limit": 100})
        assert made["secret"] not in read.text + listed.text
        assert made["id"] in {entry["id"] for entry in listed.json()["items"]}

    async def test_what_is_changed_stays_changed(self, office: Office):
        made = await office.webhook("https://hooks.example.com/in", "user.*")
        path = f"{API}/{made['id']}"
        changed = await office.admin.patch(path, json={"name": "Renamed", "is_enabled": False})
        assert changed.status_code == 200
        again = (await office.admin.get(path)).json()
        assert (again["name"], again["is_enabled"], again["events"]) == (
            "Renamed",
            False,
            ["user.*"],
        )

    async def test_a_deleted_one_is_gone(self, office: Office):
        made = await office.webhook("https://hooks.example.com/in")
        path = f"{API}/{made['id']}"
        assert (await office.admin.delete(path)).status_code == 204
        for answer_ in (
            await office.admin.get(path),
            await office.admin.get(f"{path}/deliveries"),
            await office.admin.post(f"{path}/ping"),
            await office.admin.delete(path),
        ):
            assert answer_.status_code == 404
            assert answer_.json()["code"] == "webhook_not_found"

    @pytest.mark.parametrize(
        "url",
        [
            "http://10.0.0.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://[::ffff:10.0.0.1]/",
            "http://localhost/",
            "http://user:password@hooks.example.com/",
            "ftp://hooks.example.com/",
            "javascript:alert(1)",
            "http://hooks.example.com/\nx",
        ],
    )
    async def test_targets_that_are_never_called_are_refused_at_once(
        self, office: Office, url: str
    ):
        refused = await office.admin.post(API, json=CREATE | {"url": url})
        assert refused.status_code == 422
        made = await office.webhook("https://hooks.example.com/in")
        changed = await office.admin.patch(f"{API}/{made['id']}", json={"url": url})
        assert changed.status_code == 422

    @pytest.mark.parametrize(
        "wrong",
        [
            {"events": ["user.exploded"]},
            {"events": ["*.created"]},
            {"events": ["use*"]},
            {"name": ""},
            {"name": "x" * 101},
            {"url": "x"},
            {"organization_id": "00000000-0000-7000-8000-000000000000"},
            {"organization_id": "none"},
            {"sealed_secret": "x"},
            {"events": ["x" * 200]},
            {"name": "a\x00b"},
        ],
        ids=str,
    )
    async def test_what_makes_no_sense_is_refused(self, office: Office, wrong: dict[str, Any]):
        refused = await office.admin.post(API, json=CREATE | wrong)
        assert refused.status_code == 422, refused.text

    async def test_lists_are_sorted_and_searched(self, office: Office):
        hooks = [await office.webhook("https://hooks.example.com/in") for _ in range(3)]
        await check_orders(office.admin, API, ("created_at", "name", "url"))
        found = await ids_of(office.admin, API, search=hooks[1]["name"].upper())
        assert found == [hooks[1]["id"]]

    async def test_deliveries_are_sorted(self, office: Office):
        async with target(answer()) as server:
            made = await office.webhook(server.url())
            for _ in range(3):
                assert (await office.admin.post(f"{API}/{made['id']}/ping")).status_code == 202
            await office.settled(made, "delivered", 3)
        names = ("created_at", "event_type", "state", "attempts")
        await check_orders(office.admin, f"{API}/{made['id']}/deliveries", names)

    async def test_the_events_are_listed_with_their_fields(self, office: Office):
        listed = (await office.admin.get(f"{API}/events")).json()["items"]
        by_name = {entry["type"]: entry["fields"] for entry in listed}
        assert by_name["organization.member_added"] == ["organization_id", "user_id", "role", "by"]
        assert by_name["user.suspended"] == ["user_id", "status", "by"]

    async def test_a_member_manages_none(self, office: Office):
        made = await office.webhook("https://hooks.example.com/in")
        member = await office.person()
        for refused in (
            await member.get(API),
            await member.post(API, json=CREATE),
            await member.get(f"{API}/{made['id']}"),
            await member.post(f"{API}/{made['id']}/rotate-secret"),
            await member.delete(f"{API}/{made['id']}"),
        ):
            assert refused.status_code == 403

    async def test_a_delivery_of_another_webhook_is_not_found(self, office: Office):
        async with target(answer()) as server:
            mine = await office.webhook(server.url(), "webhook.ping")
            other = await office.webhook(server.url(), "webhook.ping")
            sent = (await office.admin.post(f"{API}/{mine['id']}/ping")).json()["id"]
            path = f"{API}/{other['id']}/deliveries/{sent}"
            assert (await office.admin.get(path)).status_code == 404
            assert (await office.admin.post(f"{path}/replay")).status_code == 404


class TestOrganizations:
    async def test_only_what_happens_in_it_is_told(self, office: Office):
        owner = await office.person("owner")
        mine, other = await found(owner), await found(owner)
        async with target(answer()) as server:
            await office.webhook(server.url(), "organization.*", organization_id=mine)
            for organization in (other, mine):
                path = f"/api/v1/organizations/{organization}"
                changed = await owner.patch(path, json={"description": "New"})
                assert changed.status_code == 200, changed.text
            heard = json.loads((await server.next()).body)
            assert heard["data"]["organization_id"] == mine
            assert len(server.heard) == 1

    async def test_a_key_of_an_organization_sees_its_own_only(self, office: Office):
        admin = office.admin
        organization, other = await found(admin), await found(admin)
        foreign = await office.webhook("https://hooks.example.com/in", organization_id=other)
        platform = await office.webhook("https://hooks.example.com/in")
        body = {
            "name": "key",
            "permissions": ["webhooks:manage"],
            "organization_id": organization,
        }
        key = (await admin.post("/api/v1/api-keys", json=body)).json()["key"]
        headers = {"apikey": key}
        made = await office.client.post(API, json=CREATE, headers=headers)
        assert made.json()["organization_id"] == organization
        elsewhere = CREATE | {"organization_id": other}
        refused = await office.client.post(API, json=elsewhere, headers=headers)
        assert refused.json()["code"] == "webhook_organization_unknown"
        listed = await office.client.get(API, headers=headers)
        assert [entry["id"] for entry in listed.json()["items"]] == [made.json()["id"]]
        for unseen in (foreign, platform):
            path = f"{API}/{unseen['id']}"
            assert (await office.client.get(path, headers=headers)).status_code == 404
            assert (await office.client.delete(path, headers=headers)).status_code == 404

    async def test_its_webhooks_go_with_it(self, office: Office):
        owner = office.admin
        organization = await found(owner)
        made = await office.webhook("https://hooks.example.com/in", organization_id=organization)
        assert (await owner.delete(f"/api/v1/organizations/{organization}")).status_code == 204
        assert (await owner.get(f"{API}/{made['id']}")).status_code == 404


class TestDelivering:
    async def test_an_event_arrives_signed_and_is_logged(self, office: Office):
        async with target(answer(200, b"thanks")) as server:
            made = await office.webhook(server.url(path="/in"), "user.created")
            person = await office.person()
            heard = await about(server, "user_id", person.id)
            body = verified(made["secret"], heard)
            assert (body["type"], body["data"]["auth_type"]) == ("user.created", "email")
            assert heard.line.startswith("POST /in ")
            assert heard.headers["webhook-id"] == body["id"]
            assert heard.headers["content-type"] == "application/json"
            sent = (await office.settled(made, "delivered"))[0]
            assert (sent["status"], sent["attempts"], sent["error"]) == (200, 1, None)
            detail = await office.admin.get(f"{API}/{made['id']}/deliveries/{sent['id']}")
            assert detail.json()["attempt_log"][0]["response"] == "thanks"
            assert detail.json()["payload"] == body

    async def test_payloads_name_people_and_say_no_more(self, office: Office):
        async with target(answer()) as server:
            await office.webhook(server.url(), "user.*", "session.*")
            person = await office.person()
            heard = [await about(server, "user_id", person.id) for _ in range(2)]
        text = b"".join(entry.body for entry in heard).decode()
        assert {json.loads(entry.body)["type"] for entry in heard} == {
            "user.created",
            "session.started",
        }
        for secret in (person.identifier, person.password, *person.tokens.values()):
            assert str(secret) not in text or secret == person.tokens["session_id"]

    async def test_every_sign_in_is_told_to_who_asked_since(self, office: Office):
        """Also of somebody who was there before, which takes no transaction while nobody asks."""
        person = await office.person()
        await sign_in(office.client, person.identifier)
        async with target(answer()) as server:
            await office.webhook(server.url(), "session.started")
            for _ in range(2):
                again = await sign_in(office.client, person.identifier)
                await about(server, "session_id", again.tokens["session_id"])

    async def test_a_rolled_back_change_is_never_told(self, office: Office):
        async with target(answer()) as server:
            await office.webhook(server.url(), "organization.created")
            name = unique("org")
            body = {"name": name, "slug": name}
            owner = await office.person("owner")
            races = [owner.post("/api/v1/organizations", json=body) for _ in range(20)]
            made = [one for one in await asyncio.gather(*races) if one.status_code == 201]
            assert len(made) == 1
            await found(owner)
            heard = [json.loads((await server.next()).body)["data"] for _ in range(2)]
            assert len({entry["slug"] for entry in heard}) == 2

    async def test_a_ping_tries_the_target(self, office: Office):
        async with target(answer(204, b"")) as server:
            made = await office.webhook(server.url())
            sent = await office.admin.post(f"{API}/{made['id']}/ping")
            assert sent.status_code == 202
            body = verified(made["secret"], await server.next())
            assert (body["type"], body["data"]) == ("webhook.ping", {"webhook_id": made["id"]})
            assert body["id"] == sent.json()["event_id"]

    async def test_one_id_reaches_every_webhook_that_asked(self, office: Office):
        async with target(answer()) as server:
            for _ in range(2):
                await office.webhook(server.url(), "api_key.created")
            body = {"name": "key", "permissions": []}
            key = (await office.admin.post("/api/v1/api-keys", json=body)).json()["id"]
            heard = [await about(server, "key_id", key) for _ in range(2)]
            assert len({entry.headers["webhook-id"] for entry in heard}) == 1

    async def test_a_webhook_made_later_hears_nothing_of_before(self, office: Office):
        person = await office.person()
        async with target(answer()) as server:
            await office.webhook(server.url(), "user.*")
            await person.patch("/api/v1/users/me", json={"first_name": "Ada"})
            heard = json.loads((await about(server, "user_id", person.id)).body)
            assert heard["type"] == "user.updated"


class TestFailing:
    async def test_it_is_tried_again_under_the_same_id(self, office: Office):
        async with target(in_turn(answer(500, b"oh"), answer(503), answer())) as server:
            made = await office.webhook(server.url())
            await office.admin.post(f"{API}/{made['id']}/ping")
            heard = [await server.next() for _ in range(3)]
            assert len({entry.headers["webhook-id"] for entry in heard}) == 1
            assert len({entry.body for entry in heard}) == 1
            sent = (await office.settled(made, "delivered"))[0]
            detail = await office.admin.get(f"{API}/{made['id']}/deliveries/{sent['id']}")
            log = detail.json()["attempt_log"]
            assert [(entry["number"], entry["status"]) for entry in log] == [
                (1, 500),
                (2, 503),
                (3, 200),
            ]
            assert (await office.read(made))["failures"] == 0

    @pytest.mark.parametrize(
        ("reply", "status"),
        [
            (answer(400), 400),
            (answer(302, location="https://elsewhere.example.com/"), 302),
        ],
        ids=["400", "302"],
    )
    async def test_after_the_last_try_it_is_dead(self, office: Office, reply: Reply, status: int):
        async with target(reply) as server:
            made = await office.webhook(server.url())
            await office.admin.post(f"{API}/{made['id']}/ping")
            dead = (await office.settled(made, "dead"))[0]
            assert (dead["attempts"], dead["status"], dead["error"]) == (3, status, None)
            assert dead["next_attempt_at"] is None
            assert dead["finished_at"]
            assert len(server.heard) == 3
            assert (await office.read(made))["failures"] == 3

    async def test_so_it_is_after_silence(self, impatient: Office):
        async with target(silence) as server:
            made = await impatient.webhook(server.url())
            await impatient.admin.post(f"{API}/{made['id']}/ping")
            dead = (await impatient.settled(made, "dead"))[0]
            assert (dead["attempts"], dead["status"], dead["error"]) == (3, None, "timed_out")
            assert server.heard
            assert (await impatient.read(made))["failures"] == 3

    async def test_a_target_that_is_not_there_is_told_apart(self, office: Office):
        async with target(answer()) as server:
            url = server.url()
        made = await office.webhook(url)
        await office.admin.post(f"{API}/{made['id']}/ping")
        assert (await office.settled(made, "dead"))[0]["error"] == "unreachable"

    async def test_a_name_that_leads_inside_is_refused_when_it_is_called(self, office: Office):
        # Nobody could know that at creation: the name is judged by where it leads.
        made = await office.webhook("http://localhost.localdomain:8080/")
        await office.admin.post(f"{API}/{made['id']}/ping")
        assert (await office.settled(made, "dead"))[0]["error"] in {
            "target_refused",
            "unreachable",
        }

    async def test_one_that_is_gone_is_switched_off_and_that_is_told(self, office: Office):
        async with target(answer()) as watcher, target(answer(410)) as server:
            await office.webhook(watcher.url(), "webhook.disabled")
            made = await office.webhook(server.url())
            await office.admin.post(f"{API}/{made['id']}/ping")
            heard = json.loads((await about(watcher, "webhook_id", made["id"])).body)
            assert heard["data"]["reason"] == "gone"
            now = await office.read(made)
            assert (now["is_enabled"], now["disabled_reason"]) == (False, "gone")
            assert len(await office.deliveries(made, state="skipped")) == 1
            assert len(server.heard) == 1

    async def test_a_large_answer_is_cut_and_counts_all_the_same(self, office: Office):
        async with target(answer(200, b"\x00\xff" * 50_000)) as server:
            made = await office.webhook(server.url())
            await office.admin.post(f"{API}/{made['id']}/ping")
            sent = (await office.settled(made, "delivered"))[0]
            detail = await office.admin.get(f"{API}/{made['id']}/deliveries/{sent['id']}")
            assert len(detail.json()["attempt_log"][0]["response"]) == 1024

    async def test_dead_targets_do_not_keep_the_others_waiting(self, office: Office):
        async with target(silence) as dead, target(answer()) as alive:
            for _ in range(10):
                made = await office.webhook(dead.url())
                for _ in range(5):
                    await office.admin.post(f"{API}/{made['id']}/ping")
            quick = await office.webhook(alive.url())
            await office.admin.post(f"{API}/{quick['id']}/ping")
            await alive.next()
            listed = (await office.admin.get(API, params={"limit": 100})).json()["items"]
            for entry in listed:
                if entry["url"] == dead.url():
                    await office.admin.delete(f"{API}/{entry['id']}")


class TestReplay:
    async def test_a_dead_delivery_is_sent_again(self, office: Office):
        replies = [answer(500), answer(500), answer(500), answer()]
        async with target(in_turn(*replies)) as server:
            made = await office.webhook(server.url())
            await office.admin.post(f"{API}/{made['id']}/ping")
            dead = (await office.settled(made, "dead"))[0]
            path = f"{API}/{made['id']}/deliveries/{dead['id']}/replay"
            again = await office.admin.post(path)
            assert (again.status_code, again.json()["state"]) == (202, "pending")
            sent = (await office.settled(made, "delivered"))[0]
            assert (sent["id"], sent["attempts"]) == (dead["id"], 4)
            assert len({heard.headers["webhook-id"] for heard in server.heard}) == 1

    async def test_what_was_missed_while_off_is_sent_since_a_time(self, office: Office):
        async with target(answer()) as server:
            made = await office.webhook(server.url(), "user.created")
            path = f"{API}/{made['id']}"
            await office.admin.patch(path, json={"is_enabled": False})
            people = [await office.person() for _ in range(3)]
            missed = await office.settled(made, "skipped", count=3)
            assert not server.heard
            since = {"since": made["created_at"]}
            refused = await office.admin.post(f"{path}/replay", json=since)
            assert refused.json()["code"] == "webhook_disabled_now"
            await office.admin.patch(path, json={"is_enabled": True})
            replayed = await office.admin.post(f"{path}/replay", json=since)
            assert replayed.status_code == 202
            assert replayed.json()["replayed"] == len(missed)
            heard = [json.loads((await server.next()).body)["data"] for _ in missed]
            assert {person.id for person in people} == {entry["user_id"] for entry in heard}

    async def test_a_time_without_a_zone_is_refused(self, office: Office):
        made = await office.webhook("https://hooks.example.com/in")
        path = f"{API}/{made['id']}/replay"
        refused = await office.admin.post(path, json={"since": "2026-01-01T00:00:00"})
        assert refused.status_code == 422


class TestRotation:
    async def test_both_secrets_sign_during_the_overlap(self, office: Office):
        async with target(answer()) as server:
            made = await office.webhook(server.url())
            path = f"{API}/{made['id']}"
            rotated = (await office.admin.post(f"{path}/rotate-secret")).json()
            assert rotated["secret"] != made["secret"]
            await office.admin.post(f"{path}/ping")
            heard = await server.next()
            for secret in (made["secret"], rotated["secret"]):
                assert verified(secret, heard)["type"] == "webhook.ping"

    async def test_without_overlap_the_old_one_ends(self, office: Office):
        async with target(answer()) as server:
            made = await office.webhook(server.url())
            path = f"{API}/{made['id']}"
            rotated = await office.admin.post(f"{path}/rotate-secret?overlap_seconds=0")
            await office.admin.post(f"{path}/ping")
            heard = await server.next()
            assert verified(rotated.json()["secret"], heard)
            with pytest.raises(WebhookVerificationError):
                verified(made["secret"], heard)


class TestRaces:
    async def test_fifty_events_at_once_arrive_once_each(self, office: Office):
        async with target(answer()) as server:
            made = await office.webhook(server.url(), "api_key.created")
            body = {"name": "key", "permissions": []}
            races = [office.admin.post("/api/v1/api-keys", json=body) for _ in range(50)]
            keys = {one.json()["id"] for one in await asyncio.gather(*races)}
            await office.settled(made, "delivered", count=50)
            heard = [json.loads(entry.body) for entry in server.heard]
            mine = [entry["id"] for entry in heard if entry["data"]["key_id"] in keys]
            assert len(mine) == len(set(mine)) == 50

    async def test_the_limit_holds_when_many_are_made_at_once(self, office: Office):
        organization = await found(office.admin)
        most = office.settings.webhooks.max_per_organization
        body = CREATE | {"organization_id": organization}
        races = [office.admin.post(API, json=body) for _ in range(most + 10)]
        codes = [one.json().get("code") for one in await asyncio.gather(*races)]
        assert codes.count(None) == most
        assert codes.count("too_many_webhooks") == 10

    async def test_deleting_while_it_is_being_sent_breaks_nothing(self, office: Office):
        async with target(silence) as server:
            made = await office.webhook(server.url())
            await office.admin.post(f"{API}/{made['id']}/ping")
            await server.next()
            assert (await office.admin.delete(f"{API}/{made['id']}")).status_code == 204
        async with target(answer()) as server:
            after = await office.webhook(server.url())
            await office.admin.post(f"{API}/{after['id']}/ping")
            await server.next()
