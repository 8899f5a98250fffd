"""What counts as one caller where only a network address is known."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

# What one customer gets at least (RFC 6177): whoever holds it has more addresses than we count.
SMALLEST_HOME = 64


@lru_cache(maxsize=4096)
def home_of(address: str) -> str:
    """An IPv4 address as it is, an IPv6 one as its /64, for counting and comparing."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, SMALLEST_HOME), strict=False))
