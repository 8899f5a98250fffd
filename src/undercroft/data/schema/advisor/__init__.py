"""Looks over the customer's schemas and says what is open, slow or about to break, and the fix."""
