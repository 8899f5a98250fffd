"""Types for clients, written from the schema."""
