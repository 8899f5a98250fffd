"""What the HTTP planes accept and how often."""

import ipaddress
from typing import Annotated, Literal

from limits import parse
from pydantic import AfterValidator, ByteSize, Field

from undercroft.foundation.settings.group import SettingsGroup


def _a_rate(text: str) -> str:
    if text:
        parse(text)
    return text


def _a_network(text: str) -> str:
    ipaddress.ip_network(text, strict=False)
    return text


Rate = Annotated[str, AfterValidator(_a_rate)]
Network = Annotated[str, AfterValidator(_a_network)]


LOCAL = "http://localhost:8000"


class HttpSettings(SettingsGroup):
    base_url: str | None = Field(
        None,
        description="Public address, used in links we mail. Never taken from a request's headers. "
        "Unset: the host and port of `serve`.",
        examples=["https://api.example.com"],
    )
    frontend_url: str | None = Field(
        None,
        description="Address of the application that people use; mailed links lead there. "
        "Unset: `base_url`.",
        examples=["https://app.example.com"],
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Exact origins that browsers may call from; `*` without credentials."
    )
    csp_mode: Literal["strict", "relaxed", "disabled"] = Field(
        "strict", description="Content-Security-Policy of every answer."
    )
    screening: Literal["off", "report", "block"] = Field(
        "report",
        description="What looks like an attack in paths, queries and headers of the control plane: "
        "told in the activity log and metrics, or refused.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="Addresses whose X-Forwarded-For and -Proto we believe."
    )
    place_header: str = Field(
        "",
        description="Header in which your proxy says where a caller is, shown with sessions. It "
        "must overwrite what callers send. Empty: places are unknown.",
        examples=["CF-IPCountry"],
    )
    max_body_bytes: ByteSize = Field(
        ByteSize(15_000_000), description="Largest control-plane body, counted while reading."
    )
    max_rows_body_bytes: ByteSize = Field(
        ByteSize(50_000_000), description="Largest body of /rest/v1."
    )
    max_import_bytes: ByteSize = Field(
        ByteSize(10_000_000_000), description="Largest streamed table import."
    )
    max_header_bytes: ByteSize = Field(ByteSize(32_768), description="All request headers.")
    max_query_bytes: ByteSize = Field(ByteSize(16_384), description="Query string.")

    @property
    def public_base(self) -> str:
        """Where this server is reached; never from a request's headers."""
        return (self.base_url or LOCAL).rstrip("/")

    @property
    def link_base(self) -> str:
        """Where links in messages lead; never from a request's headers."""
        return (self.frontend_url or self.base_url or LOCAL).rstrip("/")


class RateLimitSettings(SettingsGroup):
    """One line per limited route, `number/period`; empty switches that line off."""

    enabled: bool = Field(True, description="Off: nothing is limited.")
    default: Rate = Field("200/minute", description="Control plane, per address.")
    broadcasts: Rate = Field("", description="Broadcasts by HTTP, per address.")
    rows: Rate = Field("", description="/rest/v1, per address.")
    storage: Rate = Field("", description="/storage/v1, per address.")
    registration: Rate = Field("5/minute", description="Making an account, per address.")
    login: Rate = Field("10/minute", description="Sign-in, per address.")
    refresh: Rate = Field("30/minute", description="Token refresh, per address.")
    reset_request: Rate = Field("3/minute", description="Asking for a password reset.")
    reset_confirm: Rate = Field("5/minute", description="Using a password reset.")
    one_time_code: Rate = Field("3/minute", description="Sending a one-time code.")
    code_check: Rate = Field("10/minute", description="Trying a one-time code.")
    availability: Rate = Field("10/minute", description="Asking whether an identifier is free.")
    second_factor: Rate = Field("10/minute", description="Showing a second factor.")
    provider: Rate = Field("20/minute", description="Signing in with others.")
    logout: Rate = Field("10/minute", description="Ending this session.")
    logout_all: Rate = Field("5/minute", description="Ending every session.")
    upload: Rate = Field("60/minute", description="Adding a file or a picture to an account.")
    invitation: Rate = Field("30/minute", description="Inviting somebody, or accepting.")
    password: Rate = Field("5/minute", description="Changing a password.")

    def rate(self, name: str) -> str:
        """The rate of line `name`, empty when it is unlimited."""
        value: str = getattr(self, name)
        return value if self.enabled else ""
