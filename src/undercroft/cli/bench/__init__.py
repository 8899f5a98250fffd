"""`undercroft bench`: how fast this installation answers, beside its own database.

`command.py` is the command, `world.py` the throw-away table and account it works on, `calls.py`
asks over HTTP, `pgbench.py` asks the database alone.
"""

from undercroft.cli.bench.command import bench

__all__ = ["bench"]
