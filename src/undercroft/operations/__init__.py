"""Running the place: health, metrics, later the audit log and statistics."""
