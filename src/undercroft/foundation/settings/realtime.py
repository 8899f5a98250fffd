"""Live changes and the log of changes behind them."""

from datetime import timedelta

from pydantic import ByteSize, Field

from undercroft.foundation.settings.group import SettingsGroup


class RealtimeSettings(SettingsGroup):
    enabled: bool = Field(True, description="Off: nothing reads Postgres' log.")
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
