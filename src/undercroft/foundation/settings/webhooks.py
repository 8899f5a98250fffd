"""How webhooks are sent, how often, and when we stop trying."""

from datetime import timedelta

from pydantic import ByteSize, Field

from undercroft.foundation.settings.group import SettingsGroup


class WebhookSettings(SettingsGroup):
    timeout: timedelta = Field(
        timedelta(seconds=15), description="For one call of a target, its answer included."
    )
    max_attempts: int = Field(10, ge=1, description="Calls before a delivery is given up.")
    first_retry: timedelta = Field(
        timedelta(seconds=5), description="Waiting time after the first failure; then times four."
    )
    longest_retry: timedelta = Field(timedelta(hours=12))
    concurrency: int = Field(64, ge=1, description="Calls at once, in the whole cluster.")
    concurrency_per_target: int = Field(4, ge=1, description="Calls at once to one webhook.")
    longest_pause: timedelta = Field(
        timedelta(minutes=5), description="Between tries of a target that does not answer at all."
    )
    disable_after: timedelta = Field(
        timedelta(days=5), description="A webhook that failed for so long is switched off."
    )
    secret_overlap: timedelta = Field(
        timedelta(hours=24), description="The old secret signs too for so long after a rotation."
    )
    retention: timedelta = Field(
        timedelta(days=30), description="How long events and deliveries are kept for replay."
    )
    max_per_organization: int = Field(
        50, ge=1, description="Webhooks of one organization, and of the platform."
    )
    max_payload_bytes: ByteSize = Field(
        ByteSize(262_144), description="Rows larger than this are announced by their keys only."
    )
