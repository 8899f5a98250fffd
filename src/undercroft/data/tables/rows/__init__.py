"""A table's rows as a simple grid, by the engine of `/rest/v1`."""
