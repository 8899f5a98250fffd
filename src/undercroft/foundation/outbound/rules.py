"""The rules for targets: which URLs may be named, which addresses they may lead to."""

from ipaddress import ip_address, ip_network

import httpx2

from undercroft.foundation.outbound.addresses import Address, is_metadata, is_public, is_within
from undercroft.foundation.outbound.errors import TargetRefused
from undercroft.foundation.settings import OutboundSettings

LONGEST_URL = 2048
# They lead to addresses that are refused anyway; whoever names them gets a clear word at once.
NAMES_OF_OURS = frozenset({"localhost", "metadata.google.internal", "metadata", "instance-data"})
PORTS = {"http": 80, "https": 443}


class Rules:
    """What the settings allow."""

    def __init__(self, settings: OutboundSettings) -> None:
        self._ports = frozenset(settings.ports)
        self._https_only = settings.https_only
        self._hosts = frozenset(_plain(host) for host in settings.allowed_hosts)
        self._networks = [ip_network(text, strict=False) for text in settings.allowed_networks]

    def check(self, url: str) -> httpx2.URL:
        """Judge what can be judged without asking the network. Raises `TargetRefused`."""
        if len(url) > LONGEST_URL or not url.isprintable() or "\\" in url:
            raise TargetRefused("not an address we call")
        try:
            target = httpx2.URL(url)
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise TargetRefused("not an address") from error
        host = _plain(target.raw_host.decode("ascii"))
        if target.scheme not in PORTS or not host:
            raise TargetRefused("only http and https")
        if target.userinfo:
            raise TargetRefused("credentials do not belong into an address")
        port = PORTS[target.scheme] if target.port is None else target.port
        self._check_host(host, port, target.scheme)
        return target

    def permits(self, host: str, address: Address, port: int) -> bool:
        """Whether a connection to `address`, which is what `host` means, may be opened."""
        if is_metadata(address):
            return False
        if _plain(host) in self._hosts or is_within(address, self._networks):
            return True
        return port in self._ports and is_public(address)

    def _check_host(self, host: str, port: int, scheme: str) -> None:
        if not 0 < port < 65536:
            raise TargetRefused("no such port")
        if host in self._hosts:
            return
        if host in NAMES_OF_OURS:
            raise TargetRefused("this name is not called")
        if self._https_only and scheme == "http":
            raise TargetRefused("only https")
        address = _literal(host)
        if address is not None and not self.permits(host, address, port):
            raise TargetRefused("this address is not called")
        # Of a name nobody knows yet whether it leads into an allowed network, where ports are free.
        if port not in self._ports and not self._networks:
            raise TargetRefused("this port is not called")


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None
