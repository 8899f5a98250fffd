"""An invitation reaches whom it names, and the link in the mail is what accepts it."""

from urllib.parse import parse_qs, urlsplit

import httpx

from tests.fixtures.actors import register, unique
from tests.fixtures.outbox import Outbox
from tests.identity.test_organizations import found

API = "/api/v1"


async def test_the_link_of_the_mail_lets_its_reader_in(client: httpx.AsyncClient, outbox: Outbox):
    owner, guest = await register(client, "host"), await register(client, "invited")
    organization = await found(owner)
    path = f"{API}/organizations/{organization}"
    body = {"email": guest.identifier, "role": "member"}
    assert (await owner.post(f"{path}/invitations", json=body)).status_code == 201
    mail = await outbox.next(guest.identifier, "invitation")
    token = parse_qs(urlsplit(mail["link"]).query)["token"][0]
    assert (await guest.post(f"{API}/invitations/{token}/accept")).status_code == 200
    assert (await guest.get(path)).status_code == 200


async def test_a_revoked_invitation_lets_nobody_in(client: httpx.AsyncClient, outbox: Outbox):
    owner, guest = await register(client, "host"), await register(client, "invited")
    path = f"{API}/organizations/{await found(owner, name=unique('Tea'))}"
    body = {"email": guest.identifier, "role": "member"}
    sent = await owner.post(f"{path}/invitations", json=body)
    mail = await outbox.next(guest.identifier, "invitation")
    revoked = await owner.delete(f"{path}/invitations/{sent.json()['id']}")
    assert revoked.status_code == 204
    token = parse_qs(urlsplit(mail["link"]).query)["token"][0]
    assert (await guest.post(f"{API}/invitations/{token}/accept")).status_code in {404, 409}
