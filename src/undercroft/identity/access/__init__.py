"""Groups, what they permit, and API keys."""
