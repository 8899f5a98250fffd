"""Options that several commands share, and the settings they change."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from undercroft.foundation.settings import Settings

HomeOption = Annotated[
    Path | None,
    typer.Option(help="Directory of the embedded engines, files and secrets.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def visible(text: str) -> str:
    """Text that others chose, as one line: what would move the cursor or begin a line is spelt out.

    Else an entry could look like two, or colour the terminal of who reads it.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def settings_for(home: Path | None = None) -> "Settings":
    """Settings from the environment and `.env`, with this home when one was named."""
    from undercroft.foundation.settings import load_settings

    return load_settings(home=home) if home else load_settings()
