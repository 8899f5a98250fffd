"""E-mail, SMS and WhatsApp: what goes over the wire, what happens when it does not."""

import asyncio
import base64
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.fixtures.engines import EngineAddresses
from tests.notifications.conftest import PASSWORD, USER, Certificate, Desk, SmtpServer, Twilio, desk
from undercroft.cli.outbox import read_outbox
from undercroft.foundation.clock import utc_now
from undercroft.notifications import Channel, Kind, Message, queue_message
from undercroft.notifications.errors import NotDelivered
from undercroft.notifications.jobs import MAX_ATTEMPTS, ClaimedElsewhere, send_message


async def queue(at: Desk, channel: Channel, recipient: str, **options: Any) -> UUID:
    values = {"code": "123456", "minutes": 10}
    async with at.unit_of_work() as session:
        return await queue_message(
            session,
            at.identity.post,
            options.pop("kind", Kind.ONE_TIME_CODE),
            channel=channel,
            recipient=recipient,
            language=options.pop("language", "en"),
            values=options.pop("values", values),
            **options,
        )


async def read(at: Desk, message_id: UUID) -> Message:
    async with at.unit_of_work() as session:
        return await session.get_one(Message, message_id)


def by_smtp(smtp: SmtpServer, certificate: Certificate) -> dict[str, Any]:
    return {
        "email_host": "localhost",
        "email_port": smtp.port,
        "email_user": USER,
        "email_password": PASSWORD,
        "email_ca_file": str(certificate.file),
    }


def by_twilio(twilio: Twilio, **more: Any) -> dict[str, Any]:
    return {
        "twilio_url": twilio.url,
        "twilio_account_sid": "AC1",
        "twilio_auth_token": "secret",
        "twilio_phone_number": "+15005550006",
        "twilio_whatsapp_number": "+15005550007",
    } | more


class TestEmail:
    async def test_arrives_encrypted_as_text_and_html(
        self, engines: EngineAddresses, database: str, smtp: SmtpServer, certificate: Certificate
    ):
        async with desk(engines, database, **by_smtp(smtp, certificate)) as at:
            message_id = await queue(at, Channel.EMAIL, "ada@example.com", language="ar")
            await send_message(at.context(), message_id=message_id)
            await send_message(at.context(2), message_id=message_id)
            sent = await read(at, message_id)
        (mail,) = smtp.mailbox.mails
        assert smtp.mailbox.encrypted == [True]
        assert mail["To"] == "ada@example.com"
        assert mail["Message-ID"] == f"<{message_id}@example.com>" == sent.provider_id
        text, html = (part.get_content() for part in mail.iter_parts())
        assert "123456" in text
        assert 'dir="rtl"' in html
        assert "123456" in html
        assert (sent.state, sent.attempts, sent.sealed_values) == ("sent", 1, None)

    async def test_refuses_to_send_where_the_certificate_is_not_trusted(
        self, engines: EngineAddresses, database: str, smtp: SmtpServer, certificate: Certificate
    ):
        options = by_smtp(smtp, certificate) | {"email_ca_file": None}
        async with desk(engines, database, **options) as at:
            message_id = await queue(at, Channel.EMAIL, "ada@example.com")
            with pytest.raises(NotDelivered):
                await send_message(at.context(), message_id=message_id)
            assert (await read(at, message_id)).state == "queued"
        assert smtp.mailbox.mails == []

    async def test_passing_refusal_is_tried_again(
        self, engines: EngineAddresses, database: str, smtp: SmtpServer, certificate: Certificate
    ):
        smtp.mailbox.refusals = ["451 greylisted for 123456"]
        async with desk(engines, database, **by_smtp(smtp, certificate)) as at:
            message_id = await queue(at, Channel.EMAIL, "ada@example.com")
            with pytest.raises(NotDelivered):
                await send_message(at.context(), message_id=message_id)
            waiting = await read(at, message_id)
            assert (waiting.state, waiting.error) == ("queued", "the SMTP server answered 451")
            await send_message(at.context(2), message_id=message_id)
            assert (await read(at, message_id)).state == "sent"

    async def test_final_refusal_ends_it_and_forgets_the_code(
        self, engines: EngineAddresses, database: str, smtp: SmtpServer, certificate: Certificate
    ):
        smtp.mailbox.refusals = ["550 no such user"]
        async with desk(engines, database, **by_smtp(smtp, certificate)) as at:
            message_id = await queue(at, Channel.EMAIL, "ada@example.com")
            await send_message(at.context(), message_id=message_id)
            failed = await read(at, message_id)
        assert (failed.state, failed.sealed_values) == ("failed", None)

    async def test_two_workers_send_once(
        self, engines: EngineAddresses, database: str, smtp: SmtpServer, certificate: Certificate
    ):
        async with desk(engines, database, **by_smtp(smtp, certificate)) as at:
            message_id = await queue(at, Channel.EMAIL, "ada@example.com")
            tries = (send_message(at.context(), message_id=message_id) for _ in range(8))
            answers = await asyncio.gather(*tries, return_exceptions=True)
        assert len(smtp.mailbox.mails) == 1
        assert all(answer is None or isinstance(answer, ClaimedElsewhere) for answer in answers)

    async def test_line_breaks_in_values_do_not_reach_the_headers(
        self, engines: EngineAddresses, database: str, smtp: SmtpServer, certificate: Certificate
    ):
        values = {
            "inviter": "Eve\r\nBcc: all@example.com",
            "organization": "<b>Evil</b>",
            "link": "https://app.example.com/?token=1",
        }
        async with desk(engines, database, **by_smtp(smtp, certificate)) as at:
            message_id = await queue(
                at, Channel.EMAIL, "ada@example.com", kind=Kind.INVITATION, values=values
            )
            await send_message(at.context(), message_id=message_id)
        (mail,) = smtp.mailbox.mails
        assert mail["Bcc"] is None
        html = list(mail.iter_parts())[1].get_content()
        assert "<b>" not in html
        assert "&lt;b&gt;Evil" in html


class TestTwilio:
    async def test_sms_in_twilios_wire_format(
        self, engines: EngineAddresses, database: str, twilio: Twilio
    ):
        async with desk(engines, database, **by_twilio(twilio)) as at:
            message_id = await queue(at, Channel.SMS, "+4915112345678")
            await send_message(at.context(), message_id=message_id)
            assert (await read(at, message_id)).provider_id == "SM123"
        assert twilio.paths == ["/2010-04-01/Accounts/AC1/Messages.json"]
        assert base64.b64decode(twilio.authorizations[0].split()[1]) == b"AC1:secret"
        (form,) = twilio.forms
        assert form.pop("Body").startswith("Undercroft: your code is 123456")
        assert form == {"To": "+4915112345678", "From": "+15005550006"}

    async def test_whatsapp_uses_the_approved_template(
        self, engines: EngineAddresses, database: str, twilio: Twilio
    ):
        options = by_twilio(twilio, twilio_content_id="HX1", twilio_messaging_service_id="MG1")
        async with desk(engines, database, **options) as at:
            message_id = await queue(at, Channel.WHATSAPP, "+4915112345678")
            await send_message(at.context(), message_id=message_id)
        (form,) = twilio.forms
        assert json.loads(form.pop("ContentVariables")) == {"1": "123456"}
        assert form == {
            "To": "whatsapp:+4915112345678",
            "MessagingServiceSid": "MG1",
            "ContentSid": "HX1",
        }

    @pytest.mark.parametrize(
        ("status", "state"), [(400, "failed"), (404, "failed"), (429, "queued"), (503, "queued")]
    )
    async def test_refusals(
        self, engines: EngineAddresses, database: str, twilio: Twilio, status: int, state: str
    ):
        twilio.answers = [(status, '{"code": 21211, "message": "Body 123456 is bad"}')]
        async with desk(engines, database, **by_twilio(twilio)) as at:
            message_id = await queue(at, Channel.SMS, "+4915112345678")
            if state == "queued":
                with pytest.raises(NotDelivered):
                    await send_message(at.context(), message_id=message_id)
            else:
                await send_message(at.context(), message_id=message_id)
            after = await read(at, message_id)
        assert after.state == state
        assert after.error == f"Twilio answered {status}, code 21211"

    async def test_last_try_ends_it(self, engines: EngineAddresses, database: str, twilio: Twilio):
        twilio.answers = [(503, "not json")]
        async with desk(engines, database, **by_twilio(twilio)) as at:
            message_id = await queue(at, Channel.SMS, "+4915112345678")
            with pytest.raises(NotDelivered):
                await send_message(at.context(MAX_ATTEMPTS), message_id=message_id)
            assert (await read(at, message_id)).state == "failed"


class TestLocalOutbox:
    async def test_shows_what_no_carrier_takes(
        self, engines: EngineAddresses, database: str, capsys: pytest.CaptureFixture[str]
    ):
        async with desk(engines, database) as at:
            message_id = await queue(at, Channel.EMAIL, "newcomer@example.com")
            await send_message(at.context(), message_id=message_id)
            shown = await read_outbox(at.settings, 5)
        entry = next(message for message in shown if message["id"] == str(message_id))
        assert entry["state"] == "local"
        assert "123456" in entry["content"]["text"]
        # Only a developer's log may show a code.
        assert "123456" not in capsys.readouterr().err

    async def test_message_past_its_use_is_not_sent(
        self, engines: EngineAddresses, database: str, twilio: Twilio
    ):
        async with desk(engines, database, **by_twilio(twilio)) as at:
            past = utc_now() - timedelta(seconds=1)
            message_id = await queue(at, Channel.SMS, "+4915112345678", expires_at=past)
            await send_message(at.context(), message_id=message_id)
            assert (await read(at, message_id)).state == "failed"
        assert twilio.forms == []
