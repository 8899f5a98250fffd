"""A person's own account, profile and preferences."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from tests.fixtures.actors import Caller, register, settled, sign_in, unique

API = "/api/v1"


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

    async def test_what_is_wrong_with_a_field_is_said_in_it(self, member: Caller):
        body = {"first_name": "x" * 101, "language": "tlh", "rank": 1, "last_name": 7}
        for language, details in (
            (
                "de",
                {
                    "string_too_long": "Höchstens 100 Zeichen.",
                    "extra_forbidden": "Dieses Feld gibt es hier nicht.",
                    "string_type": "Muss ein Text sein.",
                },
            ),
            ("en", {"string_type": "Must be text."}),
        ):
            headers = {"Accept-Language": language}
            answer = await member.patch(f"{API}/users/me", json=body, headers=headers)
            assert answer.headers["content-language"] == language
            told = {line["code"]: line["detail"] for line in answer.json()["errors"]}
            assert set(told) == {
                "string_too_long",
                "extra_forbidden",
                "string_type",
                "literal_error",
            }
            assert told | details == told
            assert "context" not in answer.text
        long = {"user_metadata": {"x": "y" * 3000}}
        headers = {"Accept-Language": "fr"}
        answer = await member.patch(f"{API}/users/me", json=long, headers=headers)
        (line,) = answer.json()["errors"]
        assert line == {
            "pointer": "#/user_metadata",
            "code": "metadata_too_large",
            "detail": "Au plus 2048 octets en JSON.",
        }

    async def test_answers_in_words_speak_it_too(self, client: httpx.AsyncClient):
        headers = {"Accept-Language": "it"}
        body = {"identifier": f"{unique('w')}@example.com"}
        reset = f"{API}/auth/password-reset/request"
        answer = await client.post(reset, json=body, headers=headers)
        assert answer.json()["message"].startswith("Se esiste un account")
        register = body | {"password": "Correct-Horse-42"}
        answer = await client.post(f"{API}/auth/register", json=register, headers=headers)
        assert answer.json()["message"].startswith("Se l")
