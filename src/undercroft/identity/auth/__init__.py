"""Sign-in, tokens and sessions."""
