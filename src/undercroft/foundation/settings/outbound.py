"""Which targets our own HTTP calls may reach when a person chose the address."""

from datetime import timedelta

from pydantic import Field

from undercroft.foundation.settings.group import SettingsGroup
from undercroft.foundation.settings.http import Network


class OutboundSettings(SettingsGroup):
    allowed_networks: tuple[Network, ...] = Field(
        (),
        description="Private networks that webhooks and uploads by URL may reach, on any port. "
        "Addresses of cloud metadata stay out of reach.",
        examples=["10.20.0.0/16"],
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Names that may lead to private addresses, on any port.",
        examples=["hooks.intranet.example"],
    )
    ports: tuple[int, ...] = Field(
        (80, 443, 8080, 8443), description="Ports of the public internet that may be called."
    )
    https_only: bool = Field(False, description="Refuse plain http, allowed networks aside.")
    ca_file: str | None = Field(
        None, description="Certificate authorities to trust in place of the public ones."
    )
    connect_timeout: timedelta = Field(
        timedelta(seconds=5), description="For finding an address and connecting to it."
    )
    max_redirects: int = Field(3, ge=0, description="Where redirects are followed at all.")
    max_header_bytes: int = Field(32_768, ge=1024, description="Head of an answer.")
    max_connections: int = Field(200, ge=1, description="Open at once, per process.")
