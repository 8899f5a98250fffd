"""Parameters of connection URLs that libpq keeps for itself.

asyncpg would ask the server for settings of these names, and be refused. Hosts of databases put
`channel_binding=require` into the URLs that people paste.
"""

OF_LIBPQ = frozenset(
    {
        "channel_binding",
        "connect_timeout",
        "fallback_application_name",
        "gssdelegation",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "max_protocol_version",
        "min_protocol_version",
        "require_auth",
        "requirepeer",
        "requiressl",
        "sslcertmode",
        "sslcompression",
        "sslcrldir",
        "sslkeylogfile",
        "sslsni",
        "tcp_user_timeout",
    }
)


def without_libpq_settings(url: str) -> str:
    """Take those parameters out of a URL and leave the rest of it as it is."""
    address, _, query = url.partition("?")
    kept = [pair for pair in query.split("&") if pair and pair.partition("=")[0] not in OF_LIBPQ]
    return f"{address}?{'&'.join(kept)}" if kept else address
