"""Is it alive, is it ready, what does it depend on."""

from undercroft.operations.health.routes import control, root

__all__ = ["control", "root"]
