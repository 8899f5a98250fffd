"""What owners are told when somebody changes how their account opens."""

import httpx
import pyotp
import pytest

from tests.fixtures.actors import Caller, sign_in
from tests.fixtures.app import PASSWORD
from tests.fixtures.outbox import Outbox

API = "/api/v1"
AUTH = f"{API}/auth"
NEW = "Brand-New-Pass-77"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"
)


@pytest.fixture
async def owner(member: Caller, outbox: Outbox) -> Caller:
    """A member whose address is verified."""
    code = await outbox.code(member.identifier)
    body = {"identifier": member.identifier, "channel": "email", "otp": code}
    answer = await member.post(f"{AUTH}/verify-email-and-phone", json=body)
    assert answer.status_code == 200, answer.text
    return member


async def test_of_a_changed_password(owner: Caller, outbox: Outbox):
    body = {"current_password": PASSWORD, "new_password": NEW}
    assert (await owner.post(f"{AUTH}/change-password", json=body)).status_code == 204
    await outbox.next(owner.identifier, "password_changed")


async def test_of_a_password_that_an_administrator_set(
    owner: Caller, admin: Caller, outbox: Outbox
):
    body = {"new_password": NEW}
    assert (await admin.patch(f"{API}/users/{owner.id}/password", json=body)).status_code == 204
    await outbox.next(owner.identifier, "password_changed")


async def test_of_second_factors_that_come_and_go(owner: Caller, outbox: Outbox):
    begun = (await owner.post(f"{AUTH}/factors/totp", json={"name": "My phone"})).json()
    path = f"{AUTH}/factors/totp/{begun['id']}/confirm"
    added = await owner.post(path, json={"code": pyotp.TOTP(begun["secret"]).now()})
    assert added.status_code == 200, added.text
    notice = await outbox.next(owner.identifier, "second_factor_added")
    assert notice["factor"] == "My phone"
    owner.tokens = added.json()["tokens"]
    await owner.post(f"{AUTH}/recovery-codes")
    await outbox.next(owner.identifier, "recovery_codes_replaced")
    gone = await owner.delete(f"{AUTH}/factors/{begun['id']}")
    assert gone.status_code == 204, gone.text
    await outbox.next(owner.identifier, "second_factor_removed")


async def test_of_a_sign_in_from_another_kind_of_device(
    client: httpx.AsyncClient, owner: Caller, outbox: Outbox
):
    body = {"identifier": owner.identifier, "password": PASSWORD}
    await sign_in(client, owner.identifier)  # the device that registered
    for _ in range(2):
        headers = {"User-Agent": PHONE}
        answer = await client.post(f"{AUTH}/login", json=body, headers=headers)
        assert answer.status_code == 200
    notice = await outbox.next(owner.identifier, "new_sign_in")
    assert "iPhone" in notice["device"]
    await outbox.settled()
    kinds = [message.kind for message in await outbox.messages(owner.identifier)]
    assert kinds.count("new_sign_in") == 1


async def test_strangers_addresses_are_never_written_to(
    client: httpx.AsyncClient, member: Caller, outbox: Outbox
):
    body = {"current_password": PASSWORD, "new_password": NEW}
    await member.post(f"{AUTH}/change-password", json=body)
    use = {"identifier": member.identifier, "password": NEW}
    await client.post(f"{AUTH}/login", json=use, headers={"User-Agent": PHONE})
    await outbox.settled()
    assert {m.kind for m in await outbox.messages(member.identifier)} == {"one_time_code"}


async def test_speak_the_owners_language(owner: Caller, outbox: Outbox):
    await owner.post(f"{API}/settings/profile-language", json={"language": "ar"})
    body = {"current_password": PASSWORD, "new_password": NEW}
    await owner.post(f"{AUTH}/change-password", json=body)
    notice = await outbox.next(owner.identifier, "password_changed")
    assert notice["language"] == "ar"
