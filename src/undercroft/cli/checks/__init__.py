"""What `undercroft doctor` looks at, a module per place: this machine, the database, the cache."""

from undercroft.cli.checks.finding import Finding, Level

__all__ = ["Finding", "Level"]
