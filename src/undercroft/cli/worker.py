"""`undercroft worker`."""

from undercroft.cli.options import HomeOption, settings_for


def worker(home: HomeOption = None) -> None:
    """Work the jobs of a database that is not embedded; `serve` does it on an embedded home."""
    from undercroft.app import open_workplace
    from undercroft.foundation.embedded import open_engines
    from undercroft.foundation.jobs import run_worker

    with open_engines(settings_for(home), command="worker") as settings:
        run_worker(settings, open_workplace)
