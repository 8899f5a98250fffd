"""SMS and WhatsApp by Twilio's Messages resource (API version 2010-04-01)."""

from typing import Literal

import httpx2
import orjson

from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import NotificationSettings
from undercroft.notifications.carriers import Letter
from undercroft.notifications.errors import NotDelivered

API_VERSION = "2010-04-01"
# Worth another try: time-outs, too early, too many, and a login that the operator will mend.
PASSING = frozenset({401, 408, 425, 429})


class TwilioCarrier:
    def __init__(self, settings: NotificationSettings, channel: Literal["sms", "whatsapp"]) -> None:
        self._settings = settings
        self._channel = channel
        self._sender = self._senders()

    async def carry(self, letter: Letter) -> str:
        settings = self._settings
        token = settings.twilio_auth_token
        account = settings.twilio_account_sid or ""
        url = f"{settings.twilio_url}/{API_VERSION}/Accounts/{account}/Messages.json"
        try:
            async with httpx2.AsyncClient(timeout=settings.timeout.total_seconds()) as client:
                response = await client.post(
                    url,
                    data=self._form(letter),
                    auth=(account, token.get_secret_value() if token else ""),
                )
        except httpx2.HTTPError as error:
            raise NotDelivered(type(error).__name__, is_final=False) from error
        return _sid(response)

    def _form(self, letter: Letter) -> dict[str, str]:
        form = self._sender | {"To": self._address(letter.recipient)}
        content_id = self._settings.twilio_content_id
        code = letter.content.code
        if self._channel == "whatsapp" and content_id and code:
            # WhatsApp lets a business begin a conversation only with an approved template.
            variables = orjson.dumps({"1": code}).decode()
            return form | {"ContentSid": content_id, "ContentVariables": variables}
        return form | {"Body": letter.content.short}

    def _senders(self) -> dict[str, str]:
        settings = self._settings
        if settings.twilio_messaging_service_id:
            return {"MessagingServiceSid": settings.twilio_messaging_service_id}
        is_sms = self._channel == "sms"
        number = settings.twilio_phone_number if is_sms else settings.twilio_whatsapp_number
        if not number:
            name = "TWILIO_PHONE_NUMBER" if is_sms else "TWILIO_WHATSAPP_NUMBER"
            raise SettingsInvalid(f"{name} or TWILIO_MESSAGING_SERVICE_ID must be set.")
        return {"From": self._address(number)}

    def _address(self, number: str) -> str:
        return number if self._channel == "sms" else f"whatsapp:{number}"


def _sid(response: httpx2.Response) -> str:
    """Return Twilio's id of the message; its text of an error may quote ours, so only the code."""
    try:
        answer = response.json()
        known = answer if isinstance(answer, dict) else {}
    except ValueError:
        known = {}
    if response.is_success and "sid" in known:
        return str(known["sid"])
    final = 400 <= response.status_code < 500 and response.status_code not in PASSING
    reason = f"Twilio answered {response.status_code}, code {known.get('code')}"
    raise NotDelivered(reason, is_final=final)
