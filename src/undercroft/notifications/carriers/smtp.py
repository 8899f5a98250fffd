"""E-mail by SMTP (RFC 5321), over aiosmtplib."""

from email.message import EmailMessage
from email.utils import formataddr, formatdate

import aiosmtplib

from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import NotificationSettings
from undercroft.notifications.carriers import Letter
from undercroft.notifications.errors import NotDelivered

IMPLICIT_TLS_PORT = 465
# A refused login is the operator's to mend, and the message can go then.
MENDABLE = frozenset({530, 534, 535, 538})


class SmtpCarrier:
    def __init__(self, settings: NotificationSettings) -> None:
        self._settings = settings
        self._sender = settings.email_from or settings.email_user or ""
        if "@" not in self._sender:
            raise SettingsInvalid(
                "UNDERCROFT_NOTIFICATIONS__EMAIL_FROM: set the sender of e-mails; EMAIL_USER is no "
                "address."
            )

    async def carry(self, letter: Letter) -> str:
        message = self._message(letter)
        settings = self._settings
        password, security = settings.email_password, self._security()
        try:
            await aiosmtplib.send(
                message,
                hostname=settings.email_host,
                port=settings.email_port,
                username=settings.email_user if password else None,
                password=password.get_secret_value() if password else None,
                timeout=settings.timeout.total_seconds(),
                cert_bundle=settings.email_ca_file,
                use_tls=security == "tls",
                # True fails where the server offers none: no silent fall back to plain text.
                start_tls=security == "starttls",
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            raise _refused(min(codes, default=0)) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refused(error.code) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise NotDelivered(type(error).__name__, is_final=False) from error
        return str(message["Message-ID"])

    def _security(self) -> str:
        if self._settings.email_security != "auto":
            return self._settings.email_security
        return "tls" if self._settings.email_port == IMPLICIT_TLS_PORT else "starttls"

    def _message(self, letter: Letter) -> EmailMessage:
        content = letter.content
        message = EmailMessage()
        message["From"] = formataddr((self._settings.app_name, self._sender))
        message["To"] = letter.recipient
        message["Subject"] = content.subject
        message["Date"] = formatdate(usegmt=True)
        # The same on every try: a mail server that got it twice can tell.
        message["Message-ID"] = f"<{letter.id}@{self._sender.rpartition('@')[2]}>"
        message["Content-Language"] = content.language
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(content.text)
        message.add_alternative(content.html, subtype="html")
        return message


def _refused(code: int) -> NotDelivered:
    final = 500 <= code < 600 and code not in MENDABLE
    return NotDelivered(f"the SMTP server answered {code}", is_final=final)
