"""Live changes: sockets, channels and the log of changes behind them."""

from datetime import timedelta

from pydantic import ByteSize, Field

from undercroft.foundation.settings.group import SettingsGroup


class RealtimeSettings(SettingsGroup):
    enabled: bool = Field(True, description="Off: no sockets, and nothing reads Postgres' log.")
    public_channels: bool = Field(
        True,
        description="Let anybody with an API key use channels that are not private. Private ones "
        "follow the policies on realtime.messages.",
    )
    log_retention: timedelta = Field(
        timedelta(hours=1), description="How long a client may be away and resume without loss."
    )
    log_size: ByteSize = Field(
        ByteSize(256_000_000),
        description="Largest log of changes; older ones go sooner. Four times this where webhooks "
        "have not taken them yet.",
    )
    max_slot_lag: ByteSize = Field(
        ByteSize(1_000_000_000),
        description="Postgres keeps so much of its log for us while nobody reads it; beyond, the "
        "slot is dropped and clients resynchronise.",
    )
    message_retention: timedelta = Field(
        timedelta(days=3), description="How long broadcasts from the database can be replayed."
    )
    pool_size: int = Field(
        4,
        ge=1,
        description="Connections a worker opens, with each of two logins, to ask what "
        "subscribers may see.",
    )
    max_sockets_per_address: int = Field(1000, ge=1, description="Open sockets, per worker.")
    max_sockets: int = Field(20_000, ge=1, description="Open sockets of one worker.")
    max_channels: int = Field(100, ge=1, description="Channels of one socket.")
    max_channels_per_caller: int = Field(
        1000,
        ge=1,
        description="Channels of one account, or of all keys of one organization, per worker.",
    )
    messages_per_second_per_caller: int = Field(
        2000,
        ge=1,
        description="Messages they may send together by sockets and HTTP, averaged over five "
        "seconds, per worker; an address that shows the anon key alone may as many.",
    )
    max_message_size: ByteSize = Field(
        ByteSize(1_000_000), description="Largest message from a client."
    )
    messages_per_second: int = Field(
        200, ge=1, description="Messages a socket may send, averaged over five seconds."
    )
    joins_per_second: int = Field(
        100, ge=1, description="Channels an address may join, averaged over five seconds."
    )
    send_queue_size: ByteSize = Field(
        ByteSize(4_000_000), description="What may wait for a slow client before it is dropped."
    )
    heartbeat_timeout: timedelta = Field(
        timedelta(seconds=90), description="A client silent for so long is gone."
    )
