"""The SQL console."""

from datetime import timedelta

from pydantic import ByteSize, Field

from undercroft.foundation.settings.group import SettingsGroup


class SqlSettings(SettingsGroup):
    timeout: timedelta = Field(
        timedelta(seconds=30), description="Longest run of a script that names no timeout."
    )
    longest_timeout: timedelta = Field(
        timedelta(minutes=5), description="Longest timeout a caller may ask for."
    )
    lock_timeout: timedelta = Field(
        timedelta(seconds=5), description="Longest wait for a lock that somebody else holds."
    )
    max_rows: int = Field(1000, ge=1, description="Rows a statement answers unless asked.")
    most_rows: int = Field(50_000, ge=1, description="Most rows a caller may ask for.")
    max_bytes: ByteSize = Field(
        ByteSize(8 * 1024 * 1024), description="Most bytes of rows that one run answers."
    )
    max_query_bytes: ByteSize = Field(
        ByteSize(1024 * 1024), description="Longest script that is accepted."
    )
    max_statements: int = Field(5000, ge=1, description="Most statements of one script.")
    concurrency: int = Field(4, ge=1, description="Scripts that one worker runs at once.")
    history_retention: timedelta = Field(
        timedelta(days=90), description="How long it is kept who ran what."
    )
