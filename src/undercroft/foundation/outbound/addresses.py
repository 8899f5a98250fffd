"""Which IP addresses lie in the public internet, whatever form they are written in."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
AnyNetwork = IPv4Network | IPv6Network

# Where clouds hand credentials to machines. Azure's and Oracle's look like public addresses.
METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    )
)
# The relays of 6to4, which nobody needs any more and which lead anywhere.
ABANDONED = ip_network("192.88.99.0/24")

GLOBAL_UNICAST = ip_network("2000::/3")
NAT64 = ip_network("64:ff9b::/96")
TUNNELS = (ip_network("2001::/32"), ip_network("2002::/16"))  # Teredo, 6to4
DOCUMENTATION = ip_network("3fff::/20")  # newer than the tables of older Pythons
ISATAP = (0x00005EFE, 0x02005EFE)


def is_metadata(address: Address) -> bool:
    """Whether a cloud's metadata service answers there, or on the address inside it."""
    inner = _inside(address)
    return address in METADATA or (inner is not None and inner in METADATA)


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could reach it too, so that nobody gains by asking us."""
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    if address in NAT64:
        return _is_public_v4(IPv4Address(int(address) & 0xFFFF_FFFF))
    if address not in GLOBAL_UNICAST or address in DOCUMENTATION:
        return False
    if any(address in tunnel for tunnel in TUNNELS) or _is_isatap(address):
        return False
    return address.is_global and not address.is_multicast


def is_within(address: Address, networks: Iterable[AnyNetwork]) -> bool:
    """Whether one of `networks` holds it; a mapped IPv4 address counts as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in networks)


def _is_public_v4(address: IPv4Address) -> bool:
    if address in METADATA or address in ABANDONED:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _inside(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64 or _is_isatap(address):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_isatap(address: IPv6Address) -> bool:
    """Its lower half names an IPv4 host (RFC 5214), behind any prefix."""
    return (int(address) >> 32) & 0xFFFF_FFFF in ISATAP
