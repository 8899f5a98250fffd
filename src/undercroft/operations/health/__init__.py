"""Is it alive, is it ready, what does it depend on."""

from undercroft.operations.health.routes import PERMISSIONS, control, root

__all__ = ["PERMISSIONS", "control", "root"]
