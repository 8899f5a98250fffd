"""The post office of one process: which carrier takes which channel, and the seal of contents."""

from collections.abc import Mapping
from typing import Any

import orjson

from undercroft.foundation.crypto import Keyring
from undercroft.foundation.settings import NotificationSettings
from undercroft.notifications.carriers import Carrier
from undercroft.notifications.carriers.smtp import SmtpCarrier
from undercroft.notifications.carriers.twilio import TwilioCarrier
from undercroft.notifications.models import Channel, Message
from undercroft.notifications.templates import Content, Kind, render

SEAL = "message"


class Post:
    """A channel without a carrier keeps its messages in the local outbox."""

    def __init__(self, keyring: Keyring, settings: NotificationSettings) -> None:
        self._keyring = keyring
        self.carriers = _carriers(settings)
        self.app_name = settings.app_name

    def seal(self, values: Mapping[str, Any]) -> bytes:
        return self._keyring.seal(SEAL, orjson.dumps(dict(values)))

    def open(self, message: Message) -> dict[str, Any]:
        """The values of a message; empty once it was sent."""
        if message.sealed_values is None:
            return {}
        values: dict[str, Any] = orjson.loads(self._keyring.open(SEAL, message.sealed_values))
        return values

    def render(self, message: Message) -> Content:
        values = {"app": self.app_name} | self.open(message)
        return render(Kind(message.kind), message.language, values)


def _carriers(settings: NotificationSettings) -> dict[Channel, Carrier]:
    carriers: dict[Channel, Carrier] = {}
    if settings.email_host:
        carriers[Channel.EMAIL] = SmtpCarrier(settings)
    if settings.twilio_account_sid and settings.twilio_auth_token:
        any_sender = settings.twilio_messaging_service_id
        if any_sender or settings.twilio_phone_number:
            carriers[Channel.SMS] = TwilioCarrier(settings, "sms")
        if any_sender or settings.twilio_whatsapp_number:
            carriers[Channel.WHATSAPP] = TwilioCarrier(settings, "whatsapp")
    return carriers
