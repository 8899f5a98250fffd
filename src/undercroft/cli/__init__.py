"""The command `undercroft`. Each module holds one group; they import what they need when called."""

from undercroft.cli.main import main

__all__ = ["main"]
