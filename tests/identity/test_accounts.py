"""Accounts, profiles and preferences: what people and administrators may change."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from tests.fixtures.actors import Caller, make_group, promoted, register, settled, sign_in, unique
from tests.fixtures.app import make_client, running
from tests.fixtures.engines import EngineAddresses
from undercroft.app import Application, create_app
from undercroft.foundation.clock import utc_now
from undercroft.foundation.settings import Settings
from undercroft.identity.users.erasure import erase_deleted
from undercroft.wings import PERSONAL

API = "/api/v1"


@pytest.fixture
async def clerk(client: httpx.AsyncClient, admin: Caller) -> Caller:
    """May do everything to accounts, and is no superuser."""
    clerk = await register(client, "clerk")
    names = ("users:read", "users:update", "users:suspend", "users:delete", "passwords:reset")
    await promoted(admin, clerk, await make_group(admin, *names))

    async def ready() -> bool:
        return (await clerk.get(f"{API}/users")).status_code == 200

    assert await settled(ready)
    return clerk


class TestOwnAccount:
    async def test_changes_what_is_sent(self, member: Caller):
        first = await member.patch(f"{API}/users/me", json={"given_name": "Ada", "language": "de"})
        assert first.status_code == 200, first.text
        second = await member.patch(f"{API}/users/me", json={"last_name": "Lovelace"})
        read = second.json()
        assert (read["first_name"], read["last_name"]) == ("Ada", "Lovelace")
        assert read["language"] == "de"

    @pytest.mark.parametrize(
        "forbidden",
        [
            {"status": "active"},
            {"is_superuser": True},
            {"email_verified_at": "2026-01-01T00:00:00Z"},
            {"email": "other@example.com"},
            {"password": "Another-Pass-43"},
            {"app_metadata": {"role": "admin"}},
            {"user_type": "admin"},
            {"is_active": True},
            {"permissions": ["users:read"]},
        ],
    )
    async def test_sets_no_status_verification_or_rights(
        self, member: Caller, forbidden: dict[str, object]
    ):
        for method, path in (
            ("PATCH", "/users/me"),
            ("PUT", "/settings/profile"),
            ("POST", "/settings/update-profile"),
        ):
            answer = await member.request(method, API + path, json=forbidden)
            assert answer.status_code == 422, (path, answer.text)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"language": "xx"},
            {"language": None},
            {"user_metadata": {"x": "y" * 3000}},
            {"first_name": "x" * 101},
            {"user_metadata": [1]},
        ],
    )
    async def test_refuses_bad_values(self, member: Caller, wrong: dict[str, object]):
        assert (await member.patch(f"{API}/users/me", json=wrong)).status_code == 422


class TestSettings:
    async def test_profile_round_trip(self, member: Caller):
        change = {
            "country": "de",
            "dob": "1990-05-17",
            "gender": "other",
            "bio": "Builds engines.",
            "timezone": "Europe/Berlin",
            "theme": "dark",
        }
        assert (await member.put(f"{API}/settings/profile", json=change)).status_code == 200
        read = (await member.get(f"{API}/settings/profile")).json()
        assert (read["country"], read["birth_date"], read["theme"]) == ("DE", "1990-05-17", "dark")
        for path in ("/settings", "/settings/get-settings"):
            settings = (await member.get(API + path)).json()
            assert settings["timezone"] == "Europe/Berlin"

    async def test_single_preferences(self, member: Caller):
        for path, good, bad in (
            ("update-theme", {"theme": "dynamic"}, {"theme": "pink"}),
            ("update-timezone", {"timezone": "Asia/Tokyo"}, {"timezone": "Mars/Olympus"}),
            ("profile-language", {"language": "ind"}, {"language": "tlh"}),
            (
                "profile-accessibility",
                {"profile_accessibility": "private"},
                {"profile_accessibility": "friends"},
            ),
        ):
            answer = await member.post(f"{API}/settings/{path}", json=good)
            assert answer.status_code == 200, answer.text
            assert (await member.post(f"{API}/settings/{path}", json=bad)).status_code == 422
        assert (await member.get(f"{API}/settings")).json()["language"] == "id"

    async def test_private_profiles_are_not_there(
        self, member: Caller, outsider: Caller, clerk: Caller
    ):
        path = f"{API}/settings/profile/{member.id}"
        seen = (await outsider.get(path)).json()
        assert seen["id"] == member.id
        assert not {"email", "phone", "birth_date"} & set(seen)
        body = {"profile_accessibility": "private"}
        await member.post(f"{API}/settings/profile-accessibility", json=body)
        hidden = await outsider.get(path)
        unknown = await outsider.get(f"{API}/settings/profile/{uuid4()}")
        assert hidden.status_code == unknown.status_code == 404
        assert (await member.get(path)).status_code == 200
        assert (await clerk.get(path)).status_code == 200


class TestAdministration:
    async def test_changes_an_account(self, clerk: Caller, member: Caller, outsider: Caller):
        path = f"{API}/users/{member.id}"
        changed = await clerk.patch(path, json={"first_name": "Grace", "user_type": "business"})
        assert changed.json()["user_type"] == "business"
        assert (await outsider.patch(path, json={"first_name": "x"})).status_code == 403
        assert (await clerk.patch(path, json={"status": "suspended"})).status_code == 422

    async def test_username_is_unique(self, clerk: Caller, member: Caller, outsider: Caller):
        name = unique("ada")
        body = {"username": name.upper()}
        first = await clerk.patch(f"{API}/users/{member.id}/username", json=body)
        assert first.json()["username"] == name
        again = await clerk.patch(f"{API}/users/{outsider.id}/username", json=body)
        assert again.status_code == 409
        odd = await clerk.patch(f"{API}/users/{member.id}/username", json={"username": "a b"})
        assert odd.status_code == 422

    async def test_password_reset_ends_sessions(self, clerk: Caller, member: Caller):
        path = f"{API}/users/{member.id}/password"
        weak = await clerk.patch(path, json={"new_password": "password"})
        assert weak.status_code == 422
        done = await clerk.patch(path, json={"new_password": "Brand-New-Pass-77"})
        assert done.status_code == 204

        async def ended() -> bool:
            return (await member.get(f"{API}/users/me")).status_code == 401

        assert await settled(ended)
        await sign_in(member.client, member.identifier, "Brand-New-Pass-77")

    async def test_superusers_are_out_of_reach(self, clerk: Caller, admin: Caller):
        path = f"{API}/users/{admin.id}"
        for suffix, body in (
            ("", {"first_name": "x"}),
            ("/username", {"username": unique("x")}),
            ("/password", {"new_password": "Brand-New-Pass-77"}),
        ):
            assert (await clerk.patch(path + suffix, json=body)).status_code == 403
        assert (await clerk.delete(path)).status_code == 403

    async def test_passwords_of_those_with_more_rights_are_out_of_reach(
        self, clerk: Caller, admin: Caller, member: Caller
    ):
        await promoted(admin, member, "moderator")
        path = f"{API}/users/{member.id}/password"
        refused = await clerk.patch(path, json={"new_password": "Brand-New-Pass-77"})
        assert (refused.status_code, refused.json()["code"]) == (403, "above_you")

    async def test_own_password_needs_the_old_one(self, clerk: Caller):
        path = f"{API}/users/{clerk.id}/password"
        answer = await clerk.patch(path, json={"new_password": "Brand-New-Pass-77"})
        assert (answer.status_code, answer.json()["code"]) == (409, "not_yourself")


class TestOrder:
    """`sort` names a column, after `-` from the highest, and holds across pages."""

    LISTS = (
        ("/users", ("created_at", "updated_at", "email", "username", "last_sign_in_at")),
        ("/organizations", ("created_at", "name", "slug")),
        ("/permissions", ("codename", "name", "created_at")),
        ("/groups", ("codename", "name", "created_at")),
        ("/features", ("name", "created_at")),
        ("/api-keys", ("created_at", "name")),
    )

    @pytest.mark.parametrize(("path", "names"), LISTS)
    async def test_is_the_same_forwards_and_backwards(
        self, admin: Caller, member: Caller, path: str, names: tuple[str, ...]
    ):
        assert member.id
        await self._three(admin, path)
        for name in names:
            up = await self._ids(admin, f"{path}?sort={name}")
            down = await self._ids(admin, f"{path}?sort=-{name}")
            assert len(up) == len(set(up)) >= 3
            assert up == down[::-1]

    async def test_refuses_other_columns_and_cursors_of_another_order(self, admin: Caller):
        for name in ("password_hash", "email,id", "--email", "-"):
            answer = await admin.get(f"{API}/users", params={"sort": name})
            assert answer.status_code == 422
        cursor = (await admin.get(f"{API}/users?sort=email&limit=1")).json()["next_cursor"]
        mixed = await admin.get(f"{API}/users?sort=username&cursor={cursor}")
        assert (mixed.status_code, mixed.json()["code"]) == (422, "cursor_invalid")

    async def _three(self, admin: Caller, path: str) -> None:
        for _ in range(3):
            name = unique("thing")
            body = {
                "/organizations": {"name": name},
                "/features": {"name": name},
                "/api-keys": {"name": name, "permissions": []},
                "/users": {"identifier": name, "password": "Correct-Horse-42"},
            }.get(path)
            if body:
                assert (await admin.post(f"{API}{path}", json=body)).status_code == 201

    async def _ids(self, admin: Caller, path: str) -> list[str]:
        every = "&all=true" if path.startswith("/organizations") else ""
        ids: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = f"&limit=25&cursor={cursor}" if cursor else "&limit=25"
            answer = (await admin.get(f"{API}{path}{every}{page}")).json()
            ids += [each["id"] for each in answer["items"]]
            cursor = answer["next_cursor"]
        return ids


class TestOwnUsername:
    PATH = f"{API}/users/me/username"

    async def test_signs_in_by_it(self, client: httpx.AsyncClient, member: Caller):
        name = unique("ada")
        changed = await member.patch(self.PATH, json={"username": name.upper()})
        assert (changed.status_code, changed.json()["username"]) == (200, name)
        again = await sign_in(client, name, member.password)
        assert again.id == member.id

    async def test_refuses_what_is_taken_or_no_name(self, member: Caller, outsider: Caller):
        name = unique("grace")
        assert (await outsider.patch(self.PATH, json={"username": name})).status_code == 200
        taken = await member.patch(self.PATH, json={"username": name})
        assert (taken.status_code, taken.json()["code"]) == (409, "identifier_taken")
        for wrong in ("a@b.example", "+4915112345678", "", "x" * 65):
            assert (await member.patch(self.PATH, json={"username": wrong})).status_code == 422
        assert (await member.client.patch(self.PATH, json={"username": name})).status_code == 401

    async def test_goes_to_one_of_many_who_want_it_at_once(self, client: httpx.AsyncClient):
        people = [await register(client, "racer") for _ in range(10)]
        name = unique("winner")
        answers = await asyncio.gather(
            *(person.patch(self.PATH, json={"username": name}) for person in people)
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9


class TestSignInAttempts:
    async def test_are_seen_and_forgotten_by_who_may(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller, outsider: Caller
    ):
        path = f"{API}/users/{member.id}/sign-in-attempts"
        assert (await admin.get(path)).json()["items"] == []
        login, right = f"{API}/auth/login", {"identifier": member.identifier}
        for _ in range(5):
            wrong = await client.post(login, json=right | {"password": "Wrong-Horse-0000"})
            assert wrong.status_code == 401
        locked = await client.post(login, json=right | {"password": member.password})
        assert locked.status_code == 429
        (seen,) = (await admin.get(path)).json()["items"]
        assert seen["failures"] == 5
        assert seen["locked_until"] > seen["last_failed_at"]
        for refused in (await outsider.get(path), await outsider.delete(path)):
            assert refused.status_code == 403
        assert (await admin.delete(path)).json() == {"deleted": 1}
        assert (await admin.get(path)).json()["items"] == []
        await sign_in(client, member.identifier, member.password)

    async def test_of_nobody_are_not_found(self, admin: Caller):
        path = f"{API}/users/{uuid4()}/sign-in-attempts"
        assert (await admin.get(path)).status_code == 404
        assert (await admin.delete(path)).status_code == 404

    async def test_of_a_superuser_are_forgotten_by_another_only(
        self, admin: Caller, outsider: Caller
    ):
        await promoted(admin, outsider, await make_group(admin, "sign_in_attempts:delete"))

        async def refused() -> bool:
            answer = await outsider.delete(f"{API}/users/{admin.id}/sign-in-attempts")
            return bool(answer.json()["code"] == "above_you")

        assert await settled(refused)


class TestWhoBroughtWhom:
    async def test_is_the_administrator_who_made_the_account(self, admin: Caller, member: Caller):
        body = {"identifier": f"{unique('made')}@example.com", "password": "Correct-Horse-42"}
        made = await admin.post(f"{API}/users", json=body)
        assert (made.status_code, made.json()["invited_by"]) == (201, admin.id)
        assert (await member.get(f"{API}/users/me")).json()["invited_by"] is None


class TestDevices:
    async def test_are_kept_with_their_session(self, client: httpx.AsyncClient, member: Caller):
        body = {"identifier": member.identifier, "password": member.password}
        headers = {"X-Device-Id": "phone-of-ada" + "x" * 300}
        answer = await client.post(f"{API}/auth/login", json=body, headers=headers)
        listed = (await member.get(f"{API}/sessions")).json()["items"]
        ids = {each["id"]: each["device_id"] for each in listed}
        assert ids[answer.json()["session_id"]] == headers["X-Device-Id"][:255]
        assert ids[member.tokens["session_id"]] is None
        assert {each["place"] for each in listed} == {None}

    async def test_are_listed_in_pages(self, client: httpx.AsyncClient, member: Caller):
        for _ in range(2):
            await sign_in(client, member.identifier, member.password)
        first = (await member.get(f"{API}/sessions?limit=2&count=exact")).json()
        assert (len(first["items"]), first["total"]) == (2, 3)
        rest = await member.get(f"{API}/sessions?limit=2&cursor={first['next_cursor']}")
        assert rest.json()["next_cursor"] is None
        seen = {each["id"] for each in first["items"] + rest.json()["items"]}
        assert len(seen) == 3

    async def test_are_where_the_proxy_says(
        self, engines: EngineAddresses, database: str, settings: Settings, member: Caller
    ):
        http = settings.http.model_copy(update={"place_header": "CF-IPCountry"})
        app = create_app(engines.settings(database, http=http))
        body = {"identifier": member.identifier, "password": member.password}
        async with running(app), make_client(app) as client:
            headers = {"CF-IPCountry": "DE"}
            await client.post(f"{API}/auth/login", json=body, headers=headers)
        listed = (await member.get(f"{API}/sessions")).json()["items"]
        assert {each["place"] for each in listed} == {"DE", None}


class TestSessionsOfOthers:
    async def test_are_seen_and_ended_by_who_may(
        self, client: httpx.AsyncClient, admin: Caller, member: Caller, outsider: Caller
    ):
        path = f"{API}/users/{member.id}/sessions"
        for refused in (await outsider.get(path), await outsider.delete(path)):
            assert refused.status_code == 403
        assert (await admin.delete(f"{API}/users/{uuid4()}/sessions")).status_code == 404
        await sign_in(client, member.identifier)
        assert len((await admin.get(path)).json()["items"]) == 2
        assert (await admin.delete(path)).json()["sessions_revoked"] == 2

        async def ended() -> bool:
            return (await member.get(f"{API}/users/me")).status_code == 401

        assert await settled(ended)
        await sign_in(client, member.identifier)

    async def test_of_a_superuser_only_by_another(self, admin: Caller, outsider: Caller):
        await promoted(admin, outsider, await make_group(admin, "sessions:terminate"))

        async def refused() -> bool:
            answer = await outsider.delete(f"{API}/users/{admin.id}/sessions")
            return bool(answer.json()["code"] == "above_you")

        assert await settled(refused)


class TestBulk:
    async def test_reports_each(
        self, client: httpx.AsyncClient, clerk: Caller, admin: Caller, member: Caller
    ):
        other = await register(client)
        nobody = str(uuid4())
        ids = [member.id, other.id, clerk.id, admin.id, nobody]
        body = {"action": "deactivate", "user_ids": ids}
        report = (await clerk.post(f"{API}/users/bulk-action", json=body)).json()
        codes = {line["user_id"]: line["code"] for line in report["results"]}
        assert codes == {
            member.id: None,
            other.id: None,
            clerk.id: "not_yourself",
            admin.id: "above_you",
            nobody: "user_not_found",
        }
        assert (report["affected"], report["failed"]) == (2, 3)
        assert (await admin.get(f"{API}/users/me")).status_code == 200

        async def ended() -> bool:
            return (await member.get(f"{API}/users/me")).status_code == 401

        assert await settled(ended)

    async def test_two_at_once_do_not_block_each_other(
        self, client: httpx.AsyncClient, clerk: Caller, admin: Caller
    ):
        people = [(await register(client)).id for _ in range(6)]
        bodies = [
            {"action": "deactivate", "user_ids": order}
            for order in (people, people[::-1], people[3:] + people[:3])
        ]
        answers = await asyncio.gather(
            *(
                caller.post(f"{API}/users/bulk-action", json=body)
                for caller in (clerk, admin)
                for body in bodies
            )
        )
        assert {answer.status_code for answer in answers} == {200}

    @pytest.mark.parametrize("count", [0, 101])
    async def test_takes_1_to_100(self, clerk: Caller, count: int):
        body = {"action": "delete", "user_ids": [str(uuid4()) for _ in range(count)]}
        assert (await clerk.post(f"{API}/users/bulk-action", json=body)).status_code == 422


class TestFarewell:
    async def test_deactivated_by_oneself(self, member: Caller):
        assert (await member.post(f"{API}/settings/deactivate-account")).status_code == 204

        async def ended() -> bool:
            return (await member.get(f"{API}/users/me")).status_code == 401

        assert await settled(ended)

    async def test_deletion_wants_confirmation_and_no_orphans(self, member: Caller):
        path = f"{API}/settings/delete-account"
        assert (await member.post(path)).status_code == 422
        made = await member.post(f"{API}/organizations", json={"name": "Left behind"})
        owner = await member.post(f"{path}?confirm=true")
        assert (owner.status_code, owner.json()["code"]) == (409, "still_owner")
        await member.delete(f"{API}/organizations/{made.json()['id']}")
        assert (await member.post(f"{path}?confirm=true")).status_code == 204

    async def test_export_has_everything_but_secrets(self, member: Caller):
        await member.post(f"{API}/organizations", json={"name": "Mine"})
        answer = await member.get(f"{API}/settings/export")
        assert answer.status_code == 200, answer.text
        data = answer.json()
        assert data["account"]["email"] == member.identifier
        assert data["organizations"][0]["name"] == "Mine"
        assert data["sessions"]
        assert "hash" not in answer.text

    async def test_erased_after_the_grace_period(self, app: Application, member: Caller):
        await member.put(f"{API}/settings/profile", json={"bio": "secret life", "country": "FR"})
        gone = await member.post(f"{API}/settings/delete-account?confirm=true")
        assert gone.status_code == 204, gone.text
        work = app.parts.database.unit_of_work
        async with work() as session:
            await erase_deleted(session, PERSONAL, before=utc_now() - timedelta(days=30))
        assert member.identifier in await self._row(app, member)
        async with work() as session:
            assert await erase_deleted(session, PERSONAL, before=utc_now() + timedelta(seconds=5))
        row = await self._row(app, member)
        assert member.identifier not in row
        assert "secret life" not in row
        again = {"identifier": member.identifier, "password": member.password}
        assert (await member.client.post(f"{API}/auth/register", json=again)).status_code == 201
        await sign_in(member.client, member.identifier)

    async def _row(self, app: Application, member: Caller) -> str:
        async with app.parts.database.unit_of_work() as session:
            found = await session.scalar(
                text("SELECT to_jsonb(u)::text FROM auth.users u WHERE id = :id"),
                {"id": member.id},
            )
        return str(found)

    async def test_deleted_can_be_brought_back_and_keeps_its_address_until_then(
        self, client: httpx.AsyncClient, member: Caller, clerk: Caller
    ):
        await member.post(f"{API}/settings/delete-account?confirm=true")
        body = {"identifier": member.identifier}
        free = await client.post(f"{API}/auth/check-user-availability", json=body)
        assert free.json() == {"available": False}
        found = await clerk.get(f"{API}/users", params={"status": "deleted"})
        assert member.id in {user["id"] for user in found.json()["items"]}
        assert (await clerk.get(f"{API}/users/{member.id}")).status_code == 404
        back = await clerk.post(f"{API}/users/{member.id}/activate")
        assert (back.status_code, back.json()["status"]) == (200, "active")
        await sign_in(client, member.identifier)


class TestLanguage:
    async def test_of_the_settings_is_spoken_where_the_request_names_none(self, member: Caller):
        await member.post(f"{API}/settings/profile-language", json={"language": "de"})

        async def german() -> bool:
            answer = await member.get(f"{API}/settings/profile/{uuid4()}")
            return answer.headers["content-language"] == "de"

        assert await settled(german)
        path = f"{API}/settings/profile/{uuid4()}"
        french = await member.get(path, headers={"Accept-Language": "fr"})
        assert french.headers["content-language"] == "fr"

    async def test_reasons_are_translated_too(self, client: httpx.AsyncClient):
        body = {"identifier": f"{unique('w')}@example.com", "password": "short"}
        headers = {"Accept-Language": "de"}
        answer = (await client.post(f"{API}/auth/register", json=body, headers=headers)).json()
        assert answer["detail"].startswith("Verwenden Sie mindestens 12 Zeichen")
        assert answer["errors"] == [
            {"pointer": "#/password", "code": "too_short", "detail": answer["detail"]}
        ]
