"""The names that people already use for their mail server and for Twilio."""

import pytest

from undercroft.foundation.problems import SettingsInvalid
from undercroft.foundation.settings import load_settings


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", "auto"),
        ("1", "auto"),
        ("False", "none"),
        ("auto", "auto"),
        ("TLS", "tls"),
        ("starttls", "starttls"),
    ],
)
def test_email_use_tls(monkeypatch: pytest.MonkeyPatch, written: str, meant: str):
    monkeypatch.setenv("EMAIL_USE_TLS", written)
    assert load_settings(_env_file=None).notifications.email_security == meant


def test_a_typo_is_refused_and_does_not_switch_encryption_off(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EMAIL_USE_TLS", "tru")
    with pytest.raises(SettingsInvalid, match="EMAIL_USE_TLS"):
        load_settings(_env_file=None)


def test_known_names(monkeypatch: pytest.MonkeyPatch):
    names = {
        "EMAIL_HOST": "mail.example.com",
        "EMAIL_PORT": "465",
        "EMAIL_USER": "mailer",
        "EMAIL_PASSWORD": "p",
        "TWILIO_ACCOUNT_SID": "AC1",
        "TWILIO_AUTH_TOKEN": "t",
        "TWILIO_PHONE_NUMBER": "+15005550006",
        "TWILIO_WHATSAPP_NUMBER": "+15005550007",
        "TWILIO_MESSAGING_SERVICE_ID": "MG1",
        "TWILIO_CONTENT_ID": "HX1",
    }
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(_env_file=None).notifications
    assert (settings.email_host, settings.email_port) == ("mail.example.com", 465)
    assert settings.twilio_content_id == "HX1"
    assert "p" not in repr(settings.email_password).replace("SecretStr", "")
