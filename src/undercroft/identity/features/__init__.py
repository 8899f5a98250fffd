"""Feature flags: what is switched on for whom."""
