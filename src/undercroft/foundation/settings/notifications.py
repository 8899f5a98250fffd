"""How messages leave: an SMTP server for e-mail, Twilio for SMS and WhatsApp."""

from datetime import timedelta
from typing import Literal

from pydantic import Field, SecretStr

from undercroft.foundation.settings.group import SettingsGroup


class NotificationSettings(SettingsGroup):
    app_name: str = Field("Undercroft", description="What messages call this application.")
    email_host: str | None = Field(
        None, description="SMTP server. Unset: e-mail stays in the local outbox."
    )
    email_port: int = Field(587, ge=1, le=65535)
    email_user: str | None = Field(None)
    email_password: SecretStr | None = Field(None)
    email_from: str | None = Field(None, description="Sender; unset: `email_user`.")
    email_security: Literal["auto", "starttls", "tls", "none"] = Field(
        "auto", description="auto: TLS on port 465, STARTTLS elsewhere; never unencrypted."
    )
    email_ca_file: str | None = Field(
        None, description="Certificate authority of the SMTP server, for a private one."
    )
    twilio_account_sid: str | None = Field(
        None, description="Unset: SMS and WhatsApp stay in the local outbox."
    )
    twilio_auth_token: SecretStr | None = Field(None)
    twilio_phone_number: str | None = Field(None, description="Sender of SMS, E.164.")
    twilio_whatsapp_number: str | None = Field(None, description="Sender of WhatsApp, E.164.")
    twilio_messaging_service_id: str | None = Field(
        None, description="Sends in place of the phone number."
    )
    twilio_content_id: str | None = Field(
        None, description="Approved WhatsApp template; its variable 1 is the code."
    )
    twilio_url: str = Field("https://api.twilio.com", description="Address of Twilio's API.")
    timeout: timedelta = Field(timedelta(seconds=20), description="For one try at a carrier.")
    retention: timedelta = Field(
        timedelta(days=30), description="How long the record of a message is kept."
    )
